"""``seriatim predict RUN DATA``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from seriatim.cli.opening import open_model
from seriatim.cli.output import Json, say, write_json
from seriatim.cli.predict_parts import EngineName, Out, PartFormat, PartRows, Workers, predict_parts
from seriatim.cli.signature import flag
from seriatim.cli.use import Use
from seriatim.cli.writing import Alignment, BeamSize, LengthPenalty, MaxLength, NBest, decoding_options
from seriatim.errors import UsageError, nearest

if TYPE_CHECKING:
    from seriatim.runtime.model import Model

EXAMPLE = "seriatim predict runs/classify-lstm-1 new_messages.tsv -o predictions.csv"
FORMATS = ("csv", "tsv", "jsonl", "conllu", "txt")


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run folder or runtime folder")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="file to predict for; - reads standard input")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="output: .csv, .tsv, .parquet or .jsonl (default: standard output)",
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(metavar="|".join(FORMATS), help="format of standard input (with DATA -)")
    ] = None,
    use: Use = None,
    beam_size: BeamSize = None,
    n_best: NBest = None,
    length_penalty: LengthPenalty = None,
    max_length: MaxLength = None,
    alignment: Alignment = False,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="translate, caption: draw the attention weights, ROW.png for each text"),
    ] = None,
    out: Out = None,
    engine: EngineName = None,
    workers: Workers = None,
    part_rows: PartRows = None,
    part_format: PartFormat = None,
    json: Json = False,
) -> None:
    """Predict for each row or sequence of a file: one JSON object per line, or a folder of parts with --out."""
    parts = {"engine": engine, "workers": workers, "part_rows": part_rows, "part_format": part_format}
    typed: dict[str, Any] = {
        "beam_size": beam_size, "n_best": n_best, "length_penalty": length_penalty, "max_length": max_length,
        "alignment": alignment, "draw": draw,
    }  # fmt: skip
    if out is not None:
        predict_parts(run, data, out, use, parts, {**typed, "output": output, "format": format}, json)
        return
    for name, value in parts.items():
        if value is not None:
            raise UsageError(f"{flag(name)}: wanted --out DIR with it, the folder of the parts")
    from seriatim.data.predictions import check_output, write_rows
    from seriatim.runtime.model import Model

    is_standard_input = str(data) == "-"
    if format is not None and format not in FORMATS:
        raise UsageError(f"--format: '{format}' is not one of {', '.join(FORMATS)}{nearest(format, FORMATS)}")
    if format is not None and not is_standard_input:
        raise UsageError("--format: for standard input only (DATA -); a file is read by its extension")
    if output is not None:
        check_output(output, None if is_standard_input else data)
    loaded = open_model(run)
    source = sys.stdin.buffer if is_standard_input else data
    rows: Iterable[dict[str, Any]]
    if isinstance(loaded, Model):
        rows = _predict_exported(loaded, source, format, {**typed, "use": use})
    else:
        rows = loaded.predict(source, use=use, format=format, **decoding_options(loaded, typed))
    if draw is not None:
        rows = _draw(rows, draw, keep_alignment=alignment)
    if output is not None:
        if isinstance(loaded, Model):
            write_rows(rows, loaded.csv_rows, output)
        else:
            loaded.write_rows(rows, output)
        if json:
            write_json({"run": str(run), "output": str(output)})
        else:
            say(f"predictions: {output}")
    elif json:
        write_json({"run": str(run), "predictions": list(rows)})
    else:
        for row in rows:
            write_json(row)


def _predict_exported(
    model: Model, source: Path | BinaryIO, format: str | None, typed: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Predict with an exported model, which has the decoding options of its training."""
    from seriatim.runtime.reading import read_rows

    for name, value in typed.items():
        if value is not None and value is not False:
            raise UsageError(f"{flag(name)}: for run folders; an exported model has the options of its training")
    return model.predict(read_rows(model, source, format))


def _draw(rows: Iterable[dict[str, Any]], folder: Path, *, keep_alignment: bool) -> Iterator[dict[str, Any]]:
    """Draw the alignment of each row, and yield the row, without its alignment unless ``keep_alignment``."""
    from seriatim.insight.alignment import draw_alignment
    from seriatim.storage import write_bytes

    for row in rows:
        write_bytes(folder / f"{row['row']}.png", draw_alignment(row["alignment"]))
        yield row if keep_alignment else {name: value for name, value in row.items() if name != "alignment"}
