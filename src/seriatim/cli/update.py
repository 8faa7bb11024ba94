"""``seriatim update RUN DATA``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from seriatim.cli.output import Json, Table, decimals, number, say, show, write_json
from seriatim.cli.signature import parameters, values
from seriatim.tasks.options.update import UpdateOptions

EXAMPLE = "seriatim update runs/forecast-lstm-1 this_week.csv --replay 0.5"


def command() -> Callable[..., None]:
    """The function behind ``seriatim update``: its signature is that of the options."""

    def update(*, run: Path, data: list[Path], json: bool, **given: object) -> None:
        """Go on training a run with new data, and see what it learned and what it forgot."""
        _update(run, data, values(UpdateOptions, given), json)

    keyword = inspect.Parameter.KEYWORD_ONLY
    update.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                "run", keyword, annotation=Annotated[Path, typer.Argument(metavar="RUN", help="run folder")]
            ),
            inspect.Parameter(
                "data",
                keyword,
                annotation=Annotated[
                    list[Path], typer.Argument(metavar="DATA", help="new data, as the run was trained on")
                ],
            ),
            *parameters(UpdateOptions, {UpdateOptions: "Update"}),
            inspect.Parameter("json", keyword, default=False, annotation=Json),
        ]
    )
    return update


def _update(run: Path, data: list[Path], given: dict[str, Any], as_json: bool) -> None:
    from seriatim import run as runs
    from seriatim.cli.progress import observer

    loaded = runs.load(run)
    watching = observer(quiet=bool(given.get("quiet")))
    try:
        found = loaded.update(data if len(data) > 1 else data[0], observer=watching, **given)
    finally:
        watching.end()
    if as_json:
        write_json(found)
        return
    show(_table(found, loaded.main_score))
    say()
    say(f"run folder: {found['run']}")


def _table(found: Mapping[str, Any], main_score: str) -> Table:
    """The main score on either side, before and after, with the baselines on the new side."""
    rows = {
        f"{found['model']} {when}": (found[when]["new"].get(main_score), (found[when]["old"] or {}).get(main_score))
        for when in ("before", "after")
    }
    rows |= {name: (scores.get(main_score), None) for name, scores in found["baselines"].items()}
    places = decimals(score for pair in rows.values() for score in pair)
    return Table(
        columns=("model", f"{main_score}, new data", "old data"),
        rows=[(name, *(number(score, places) for score in pair)) for name, pair in rows.items()],
        marked=list(rows).index(f"{found['model']} after"),
        numeric=frozenset((f"{main_score}, new data", "old data")),
    )
