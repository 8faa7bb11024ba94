"""``seriatim predict RUN many.parquet --out DIR``: predictions for a large file, as a folder of parts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from seriatim.cli.output import say, write_json
from seriatim.cli.signature import flag
from seriatim.errors import UsageError

PANEL = "Large files"
SECONDS_BETWEEN_LINES = 10.0

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="write parts to this folder, and compute only those that are missing; DATA is a .parquet file",
        rich_help_panel=PANEL,
    ),
]
EngineName = Annotated[
    str | None,
    typer.Option(
        metavar="local|ray|dask|spark", help="program that runs the workers (default: local)", rich_help_panel=PANEL
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(metavar="INTEGER", help="processes (default: one for each processor)", rich_help_panel=PANEL),
]
PartRows = Annotated[
    int | None, typer.Option(metavar="INTEGER", help="rows of a part (default: 50000)", rich_help_panel=PANEL)
]
PartFormat = Annotated[
    str | None,
    typer.Option(metavar="parquet|csv|tsv|jsonl", help="format of the parts (default: parquet)", rich_help_panel=PANEL),
]


def predict_parts(
    run: Path,
    data: Path,
    out: Path,
    use: str | None,
    parts: Mapping[str, Any],
    others: Mapping[str, Any],
    json: bool,
) -> None:
    """Score ``data``. ``others`` are options that cannot be used with ``--out``."""
    from seriatim.scoring import score

    for name, value in others.items():
        if value is not None and value is not False:
            raise UsageError(f"{flag(name)}: cannot be used with --out")
    options = {name: value for name, value in parts.items() if value is not None}
    summary = score(run, data, out, use=use, progress=_progress(), **options)
    if json:
        write_json(
            {
                "run": str(run), "out": str(out), "parts": summary.parts, "skipped": summary.skipped,
                "rows": summary.rows, "seconds": round(summary.seconds, 3),
            }
        )  # fmt: skip
    else:
        before = f", {summary.skipped:,} of them from before" if summary.skipped else ""
        say(f"predictions: {out} ({summary.rows:,} rows in {summary.parts:,} parts{before}; {summary.seconds:.1f} s)")


def _progress() -> Callable[[int, int], None]:
    """Return a function that writes a line to standard error from time to time."""
    last = time.monotonic()

    def show(done: int, parts: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES and done < parts:
            last = time.monotonic()
            print(f"{done:,} of {parts:,} parts", file=sys.stderr, flush=True)

    return show
