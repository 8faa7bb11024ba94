"""``seriatim data [NAME]``: the bundled data sets."""

from __future__ import annotations

import gzip
import shlex
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seriatim.cli.output import Json, Table, say, show, write_json
from seriatim.cli.signature import flag
from seriatim.errors import UsageError, nearest

if TYPE_CHECKING:
    from seriatim.data.bundled import BundledSet

EXAMPLE = "seriatim data shakespeare"
FIRST_LINES = 5


def data(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="a set to show")] = None,
    json: Json = False,
) -> None:
    """List the bundled data sets, or show one with the command that trains on it."""
    from seriatim.data.bundled import bundled_sets

    sets = {item.name: item for item in bundled_sets()}
    if name is None:
        if json:
            write_json({"sets": [_described(item) for item in sets.values()]})
        else:
            _list(list(sets.values()))
        return
    if name not in sets:
        raise UsageError(f"data: no bundled set '{name}'{nearest(name, sets)}")
    if json:
        write_json({**_described(sets[name]), "first_lines": _first_lines(sets[name])})
    else:
        _look(sets[name])


def command_for(item: BundledSet) -> str:
    """The command that trains on a bundled set, with its options written out."""
    words = ["seriatim", "train", item.task, item.name]
    for option, value in item.options.items():
        if value is True:
            words.append(flag(option))
            continue
        listed = value if isinstance(value, (list, tuple)) else [value]
        words += [flag(option), ",".join(map(str, listed))]
    return shlex.join(words)


def _described(item: BundledSet) -> dict[str, object]:
    return {
        "name": item.name,
        "task": item.task,
        "description": item.description,
        "path": str(item.path),
        "bytes": Path(item.path).stat().st_size,
        "source": item.source,
        "licence": item.licence,
        "options": dict(item.options),
        "command": command_for(item),
    }


def _list(sets: list[BundledSet]) -> None:
    rows = [
        (item.name, item.task, _size(item), item.licence, f"seriatim train {item.task} {item.name}") for item in sets
    ]
    show(Table(("name", "task", "size", "licence", "command"), rows, numeric=frozenset({"size"})))


def _look(item: BundledSet) -> None:
    say(f"{item.name}: {item.description}")
    say(f"source: {item.source}")
    say(f"licence: {item.licence}")
    say(f"file: {item.path} ({_size(item)})")
    say()
    for line in _first_lines(item):
        say(f"    {line}")
    say()
    say(f"train on it: {command_for(item)}")


def _first_lines(item: BundledSet) -> list[str]:
    if item.path.suffix == ".parquet":
        import polars

        with polars.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, fmt_str_lengths=50):
            return str(polars.read_parquet(item.path, n_rows=FIRST_LINES)).splitlines()
    if item.path.suffix == ".mat":
        from seriatim.data.rolls import read_rolls

        steps = read_rolls(item.path).pieces[0][:FIRST_LINES]
        return [
            f"step {number}: notes {', '.join(map(str, step.nonzero()[0]))}" for number, step in enumerate(steps, 1)
        ]
    opened = gzip.open if item.path.suffix == ".gz" else open
    with opened(item.path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in islice(file, FIRST_LINES)]


def _size(item: BundledSet) -> str:
    size = Path(item.path).stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
