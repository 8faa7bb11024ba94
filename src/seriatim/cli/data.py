"""``seriatim data [NAME]``: the bundled data sets."""

from __future__ import annotations

import gzip
import shlex
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seriatim.cli.output import Json, TextTable, say, show, write_json
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

    sets = {bundled.name: bundled for bundled in bundled_sets()}
    if name is None:
        if json:
            write_json({"sets": [_described(bundled) for bundled in sets.values()]})
        else:
            _list(list(sets.values()))
        return
    if name not in sets:
        raise UsageError(f"data: no bundled set '{name}'{nearest(name, sets)}")
    if json:
        write_json({**_described(sets[name]), "first_lines": _first_lines(sets[name])})
    else:
        _look(sets[name])


def command_for(bundled: BundledSet) -> str:
    """The command that trains on a bundled set, with its options written out."""
    words = ["seriatim", "train", bundled.task, bundled.name]
    for option, value in bundled.options.items():
        if value is True:
            words.append(flag(option))
            continue
        listed = value if isinstance(value, (list, tuple)) else [value]
        words += [flag(option), ",".join(map(str, listed))]
    return shlex.join(words)


def _described(bundled: BundledSet) -> dict[str, object]:
    return {
        "name": bundled.name,
        "task": bundled.task,
        "description": bundled.description,
        "path": str(bundled.path),
        "bytes": Path(bundled.path).stat().st_size,
        "source": bundled.source,
        "licence": bundled.licence,
        "options": dict(bundled.options),
        "command": command_for(bundled),
    }


def _list(sets: list[BundledSet]) -> None:
    rows = [
        (bundled.name, bundled.task, _size(bundled), bundled.licence, f"seriatim train {bundled.task} {bundled.name}")
        for bundled in sets
    ]
    show(TextTable(("name", "task", "size", "licence", "command"), rows, numeric=frozenset({"size"})))


def _look(bundled: BundledSet) -> None:
    say(f"{bundled.name}: {bundled.description}")
    say(f"source: {bundled.source}")
    say(f"licence: {bundled.licence}")
    say(f"file: {bundled.path} ({_size(bundled)})")
    say()
    for line in _first_lines(bundled):
        say(f"    {line}")
    say()
    say(f"train on it: {command_for(bundled)}")


def _first_lines(bundled: BundledSet) -> list[str]:
    if bundled.path.suffix == ".parquet":
        import polars

        with polars.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, fmt_str_lengths=50):
            return str(polars.read_parquet(bundled.path, n_rows=FIRST_LINES)).splitlines()
    if bundled.path.suffix == ".mat":
        from seriatim.data.rolls import read_rolls

        steps = read_rolls(bundled.path).pieces[0][:FIRST_LINES]
        return [
            f"step {number}: notes {', '.join(map(str, step.nonzero()[0]))}" for number, step in enumerate(steps, 1)
        ]
    opened = gzip.open if bundled.path.suffix == ".gz" else open
    with opened(bundled.path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in islice(file, FIRST_LINES)]


def _size(bundled: BundledSet) -> str:
    size = Path(bundled.path).stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
