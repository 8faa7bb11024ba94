"""``seriatim predict RUN DATA``."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path
from typing import Annotated

import typer

from seriatim.cli.output import Json, say, write_json
from seriatim.errors import UsageError, nearest

EXAMPLE = "seriatim predict runs/classify-lstm-1 new_messages.tsv -o predictions.csv"
FORMATS = ("csv", "tsv", "jsonl", "txt")


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run folder")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="file to predict for; - reads standard input")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="write here: .csv, or JSON lines (default: standard output)"
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(metavar="|".join(FORMATS), help="format of standard input (with DATA -)")
    ] = None,
    json: Json = False,
) -> None:
    """Predict for each row or sequence of a file: one JSON object per line."""
    from seriatim import run as runs

    standard_input = str(data) == "-"
    if format is not None and format not in FORMATS:
        raise UsageError(f"--format: '{format}' is not one of {', '.join(FORMATS)}{nearest(format, FORMATS)}")
    if format is not None and not standard_input:
        raise UsageError("--format: for standard input only (DATA -); a file is read by its extension")
    loaded = runs.load(run)
    source = sys.stdin.buffer if standard_input else data
    if output is not None:
        loaded.write_predictions(source, output, format=format)
        if json:
            write_json({"run": str(run), "output": str(output)})
        else:
            say(f"predictions: {output}")
    elif json:
        write_json({"run": str(run), "predictions": list(loaded.predict(source, format=format))})
    else:
        for row in loaded.predict(source, format=format):
            say(json_format.dumps(row, ensure_ascii=False))
