"""Render pictures of coloured shapes with known captions, as one Parquet file: the bundled set ``scenes``.

    python recipes/scenes.py scenes.parquet

Each picture is a scene of one of three kinds, and each of its captions says the whole of it in other words:

    place     one thing and where it is        a small red circle in the top left corner
    count     two to four things of a kind     three small red circles
    pair      two things and how they stand    a small red circle left of a large blue square

The column ``combination`` names what is in a picture, without size and place ("blue square, red circle"): with
``--group combination`` the test part holds combinations of colour and shape that training has never seen.
"""

from __future__ import annotations

import argparse
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars
from PIL import Image, ImageDraw

SIDE = 32
COLOURS = {
    "red": (220, 50, 47), "green": (60, 160, 60), "blue": (50, 90, 220),
    "yellow": (240, 200, 40), "purple": (150, 60, 180), "white": (245, 245, 245),
}  # fmt: skip
BACKGROUND = (40, 44, 52)
RADII = {"small": 3, "large": 6}
"""Half a thing's side in pixels."""
CORNERS = {"top left": (8, 8), "top right": (24, 8), "bottom left": (8, 24), "bottom right": (24, 24)}
PLACES = {**CORNERS, "middle": (16, 16)}
RELATIONS = {"left of": "right of", "above": "below"}
"""How the first of two things stands to the second, and the second to the first."""
COUNTS = {2: "two", 3: "three", 4: "four"}

Point = tuple[int, int]


def circle(x: int, y: int, r: int) -> list[Point]:
    return [(x + dx, y + dy) for dx in range(-r, r + 1) for dy in range(-r, r + 1) if dx * dx + dy * dy <= r * r + 1]


def square(x: int, y: int, r: int) -> list[Point]:
    return [(x + dx, y + dy) for dx in range(-r, r + 1) for dy in range(-r, r + 1)]


def triangle(x: int, y: int, r: int) -> list[Point]:
    return [(x + dx, y + dy) for dy in range(-r, r + 1) for dx in range(-r, r + 1) if 2 * abs(dx) <= dy + r]


SHAPES: dict[str, Callable[[int, int, int], list[Point]]] = {
    "circle": circle, "square": square, "triangle": triangle
}  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """What a scene is made of."""

    size: str
    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.size} {self.colour} {self.shape}"

    @property
    def kind(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """Things at points, and the captions that are true of them."""

    things: tuple[tuple[Thing, Point], ...]
    captions: tuple[str, ...]

    def png(self) -> bytes:
        """Paint it: a PNG of as few bytes as may be."""
        palette = [BACKGROUND, *COLOURS.values()]
        image = Image.new("P", (SIDE, SIDE))
        image.putpalette([part for colour in palette for part in colour])
        draw = ImageDraw.Draw(image)
        for thing, (x, y) in self.things:
            draw.point(SHAPES[thing.shape](x, y, RADII[thing.size]), list(COLOURS).index(thing.colour) + 1)
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True, bits=4)
        return file.getvalue()

    @property
    def combination(self) -> str:
        return ", ".join(sorted({thing.kind for thing, _ in self.things}))


def some_thing(draw: random.Random) -> Thing:
    return Thing(draw.choice(list(RADII)), draw.choice(list(COLOURS)), draw.choice(list(SHAPES)))


def place(draw: random.Random) -> Scene:
    """One thing, in a corner or in the middle."""
    thing, (where, (x, y)) = some_thing(draw), draw.choice(list(PLACES.items()))
    point = (x + draw.randint(-1, 1), y + draw.randint(-1, 1))
    there = "in the middle" if where == "middle" else f"in the {where} corner"
    return Scene(((thing, point),), (f"a {thing} {there}", f"{there} is a {thing}"))


def count(draw: random.Random) -> Scene:
    """Things of a kind, apart from each other."""
    thing, number = some_thing(draw), draw.choice(list(COUNTS))
    cells = draw.sample(list(CORNERS.values()), number)
    points = [(x + draw.randint(-1, 1), y + draw.randint(-1, 1)) for x, y in cells]
    captions = (f"{COUNTS[number]} {thing}s", f"there are {COUNTS[number]} {thing}s")
    return Scene(tuple((thing, point) for point in points), captions)


def pair(draw: random.Random) -> Scene:
    """Two things of different kinds, beside or above each other."""
    first = second = some_thing(draw)
    while first.kind == second.kind:
        second = some_thing(draw)
    relation, converse = draw.choice(list(RELATIONS.items()))
    across = [16 + 8 * side + draw.randint(-1, 1) for side in (-1, 1)]
    along = [draw.randint(8, 24)] * 2
    along[1] = min(max(along[1] + draw.randint(-3, 3), 7), 25)
    points = list(zip(across, along, strict=True) if relation == "left of" else zip(along, across, strict=True))
    captions = (f"a {first} {relation} a {second}", f"a {second} {converse} a {first}")
    return Scene(((first, points[0]), (second, points[1])), captions)


KINDS = (place, count, pair, pair, pair)
"""Three of five are pairs, of which there are by far the most."""


def scenes(number: int, seed: int) -> list[Scene]:
    """``number`` scenes no two of which look alike."""
    draw = random.Random(seed)
    found: dict[frozenset[tuple[Thing, Point]], Scene] = {}
    while len(found) < number:
        scene = draw.choice(KINDS)(draw)
        found.setdefault(frozenset(scene.things), scene)
    return list(found.values())


def main() -> None:
    """Write the table: a row per caption."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--number", type=int, default=2000, help="pictures")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = [
        {"image": image, "caption": caption, "combination": scene.combination}
        for scene in scenes(given.number, given.seed)
        for image in [scene.png()]
        for caption in scene.captions
    ]
    polars.DataFrame(rows).write_parquet(given.file, compression="zstd", compression_level=19, statistics=False)


if __name__ == "__main__":
    main()
