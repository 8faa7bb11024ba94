"""``seriatim inspect RUN [DATA]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from seriatim.cli.output import Json, say, write_json

EXAMPLE = "seriatim inspect runs/language-lstm-1"


def inspect(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run folder")],
    data: Annotated[
        Path | None, typer.Argument(metavar="[DATA]", help="data to measure on (default: the run's own)")
    ] = None,
    json: Json = False,
) -> None:
    """Show how far back a model looks, how far back its data need it to, and what to change; writes report.html."""
    from seriatim import run as runs

    result = runs.load(run).inspect(data)
    if json:
        write_json(result)
        return
    say(result["verdict"])
    say()
    _show_checks(result["checks"])
    say(f"report: {run / 'report.html'}")


def _show_checks(checks: Sequence[Mapping[str, Any]]) -> None:
    """Write the checks that need attention, a line each, and count the others."""
    for status in ("fault", "warning"):
        for check in checks:
            if check["status"] == status:
                name = check["name"].replace("_", " ")
                say(f"{status}: {name}: {check['evidence']}; try: {check['advice']}")
    passed, unknown = (sum(check["status"] == status for check in checks) for status in ("ok", "unknown"))
    say(f"{passed} of {len(checks)} checks passed, {unknown} could not be measured here")
