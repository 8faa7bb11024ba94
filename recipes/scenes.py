"""Render pictures of coloured shapes with known captions into one Parquet file: the bundled set ``scenes``.

    python recipes/scenes.py scenes.parquet

Each picture is a scene of one of three types. Each of its captions describes the whole scene in other words:

    place     one figure and where it is        a small red circle in the top left corner
    count     two to four equal figures         three small red circles
    pair      two figures and their relation    a small red circle left of a large blue square

The column ``combination`` names the figures in a picture without size and place ("blue square, red circle"). With
``--group combination`` the test part has combinations of colour and shape that training has never seen.
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
"""Half the side of a figure in pixels."""
CORNERS = {"top left": (8, 8), "top right": (24, 8), "bottom left": (8, 24), "bottom right": (24, 24)}
PLACES = {**CORNERS, "middle": (16, 16)}
RELATIONS = {"left of": "right of", "above": "below"}
"""The relation of the first figure to the second, and of the second to the first."""
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
class Figure:
    """A shape with a size and a colour."""

    size: str
    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.size} {self.colour} {self.shape}"

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """Things at points, and true captions for them."""

    figures: tuple[tuple[Figure, Point], ...]
    captions: tuple[str, ...]

    def png(self) -> bytes:
        """The picture as a small PNG."""
        palette = [BACKGROUND, *COLOURS.values()]
        image = Image.new("P", (SIDE, SIDE))
        image.putpalette([part for colour in palette for part in colour])
        draw = ImageDraw.Draw(image)
        for figure, (x, y) in self.figures:
            draw.point(SHAPES[figure.shape](x, y, RADII[figure.size]), list(COLOURS).index(figure.colour) + 1)
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True, bits=4)
        return file.getvalue()

    @property
    def combination(self) -> str:
        return ", ".join(sorted({figure.name for figure, _ in self.figures}))


def random_figure(draw: random.Random) -> Figure:
    return Figure(draw.choice(list(RADII)), draw.choice(list(COLOURS)), draw.choice(list(SHAPES)))


def place(draw: random.Random) -> Scene:
    """One figure, in a corner or in the middle."""
    figure, (place_name, (x, y)) = random_figure(draw), draw.choice(list(PLACES.items()))
    point = (x + draw.randint(-1, 1), y + draw.randint(-1, 1))
    place_text = "in the middle" if place_name == "middle" else f"in the {place_name} corner"
    return Scene(((figure, point),), (f"a {figure} {place_text}", f"{place_text} is a {figure}"))


def count(draw: random.Random) -> Scene:
    """Equal figures that do not touch each other."""
    figure, number = random_figure(draw), draw.choice(list(COUNTS))
    cells = draw.sample(list(CORNERS.values()), number)
    points = [(x + draw.randint(-1, 1), y + draw.randint(-1, 1)) for x, y in cells]
    captions = (f"{COUNTS[number]} {figure}s", f"there are {COUNTS[number]} {figure}s")
    return Scene(tuple((figure, point) for point in points), captions)


def pair(draw: random.Random) -> Scene:
    """Two different figures, side by side or one above the other."""
    first = second = random_figure(draw)
    while first.name == second.name:
        second = random_figure(draw)
    relation, converse = draw.choice(list(RELATIONS.items()))
    across = [16 + 8 * side + draw.randint(-1, 1) for side in (-1, 1)]
    along = [draw.randint(8, 24)] * 2
    along[1] = min(max(along[1] + draw.randint(-3, 3), 7), 25)
    points = list(zip(across, along, strict=True) if relation == "left of" else zip(along, across, strict=True))
    captions = (f"a {first} {relation} a {second}", f"a {second} {converse} a {first}")
    return Scene(((first, points[0]), (second, points[1])), captions)


SCENE_TYPES = (place, count, pair, pair, pair)
"""Three of five scenes are pairs, which have by far the most possibilities."""


def scenes(number: int, seed: int) -> list[Scene]:
    """``number`` different scenes."""
    draw = random.Random(seed)
    unique: dict[frozenset[tuple[Figure, Point]], Scene] = {}
    while len(unique) < number:
        scene = draw.choice(SCENE_TYPES)(draw)
        unique.setdefault(frozenset(scene.figures), scene)
    return list(unique.values())


def main() -> None:
    """Write the table, with a row for each caption."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--number", type=int, default=2000, help="number of pictures")
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    rows = [
        {"image": image, "caption": caption, "combination": scene.combination}
        for scene in scenes(settings.number, settings.seed)
        for image in [scene.png()]
        for caption in scene.captions
    ]
    polars.DataFrame(rows).write_parquet(settings.file, compression="zstd", compression_level=19, statistics=False)


if __name__ == "__main__":
    main()
