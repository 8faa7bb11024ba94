"""``seriatim compare RUN RUN …``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from seriatim.cli.output import Json, say, show, write_json
from seriatim.cli.scores import score_table
from seriatim.errors import UsageError
from seriatim.tasks.options.blending import BLEND

EXAMPLE = "seriatim compare runs/language-lstm-1 runs/language-gru-1"


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="run folders of one task")],
    json: Json = False,
) -> None:
    """Show the test scores of several runs, the best first: of each network, and of the model that the run uses."""
    if len(runs) < 2:
        raise UsageError(f"compare: got one run ({runs[0]}), wanted at least two")
    from seriatim import run as module

    compared = module.compare(runs)
    if json:
        write_json(compared)
        return
    rows = {row: scores for result in compared["runs"] for row, scores in _rows(result).items()}
    show(score_table(rows, compared["main_score"], compared["higher_is_better"]))
    for note in compared["notes"]:
        say(f"note: {note}")


def _rows(result: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """Return the scores of a run's network, and of the blend or the baseline that it uses instead, if it does."""
    from seriatim.run.score_rows import network_name, shown_blend  # imports PyTorch

    best, blend = result.get("best", result["model"]), result.get("blend")
    rows = {f"{result['run']} ({network_name(result)})": result["scores"]}
    if best == BLEND and blend is not None:
        rows[f"{result['run']} ({shown_blend(result)}, in use)"] = blend["scores"]
    elif best in result["baselines"]:
        rows[f"{result['run']} ({best}, in use)"] = result["baselines"][best]
    return rows
