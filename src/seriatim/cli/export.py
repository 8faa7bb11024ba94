"""``seriatim export RUN DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seriatim.cli.output import Json, TextTable, decimals, number, say, show, write_json
from seriatim.cli.use import Use

EXAMPLE = "seriatim export runs/classify-lstm-1 exported --dtype int8"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run folder")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="new folder for the exported model")],
    dtype: Annotated[
        str, typer.Option(metavar="float32|bf16|int8", help="type of the weights; rounded weights are scored")
    ] = "float32",
    onnx: Annotated[
        bool, typer.Option("--onnx", help="write ONNX files of standard operators instead; checked by onnxruntime")
    ] = False,
    use: Use = None,
    json: Json = False,
) -> None:
    """Write a folder that runs with NumPy alone, or ONNX files, and compare it with the run."""
    from seriatim import run as runs

    result = runs.load(run).export(folder, use=use, dtype=dtype, onnx=onnx)
    if json:
        write_json(result)
        return
    if result["scores"]:
        show(_table(result["scores"], dtype))
        if "stored" in result["scores"]:
            say('* after load(DIR, arithmetic="stored"), which multiplies weights as they are stored')
        say()
    elif dtype != "float32":
        say(f"the loss in score by {dtype} was not measured: the training data are gone or have changed")
    say(f"the exported model gives the results of the run; the largest difference is {result['difference']:.1e}")
    say(f"{'folder of ONNX files' if onnx else 'runtime folder'}: {folder} ({result['bytes']:,} bytes)")


def _table(scores: dict[str, dict[str, float]], dtype: str) -> TextTable:
    """Return the scores before and after rounding, and the changes."""
    headings = {"rounded": dtype, "stored": "in streams*"}
    measured = [name for name in headings if name in scores]
    rows: list[Any] = []
    for name, before in scores["float32"].items():
        places = decimals([before])
        row = [name, number(before, places)]
        for other in measured:
            after = scores[other][name]
            row += [number(after, places), f"{after - before:+.{places}f}"]
        rows.append(tuple(row))
    columns = ["float32", *(column for other in measured for column in (headings[other], "change"))]
    return TextTable(columns=("score", *columns), rows=rows, numeric=frozenset(columns))
