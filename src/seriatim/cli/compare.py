"""``seriatim compare RUN RUN …``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seriatim.cli.output import Json, say, show, write_json
from seriatim.cli.scores import score_table
from seriatim.errors import UsageError

EXAMPLE = "seriatim compare runs/language-lstm-1 runs/language-gru-1"


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="run folders of one task")],
    json: Json = False,
) -> None:
    """Show the test scores of several runs, the best first."""
    if len(runs) < 2:
        raise UsageError(f"compare: got one run ({runs[0]}), wanted at least two")
    from seriatim import run as module

    compared = module.compare(runs)
    if json:
        write_json(compared)
        return
    rows = {f"{result['run']} ({result['model']})": result["scores"] for result in compared["runs"]}
    show(score_table(rows, compared["main_score"], compared["higher_is_better"]))
    for note in compared["notes"]:
        say(f"note: {note}")
