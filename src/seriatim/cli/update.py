"""``seriatim update RUN DATA``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from seriatim.cli.output import Json, TextTable, decimals, number, say, show, write_json
from seriatim.cli.signature import parameters, values
from seriatim.tasks.options.blending import blend_name
from seriatim.tasks.options.update import UpdateOptions

EXAMPLE = "seriatim update runs/forecast-lstm-1 this_week.csv --replay 0.5"


def command() -> Callable[..., None]:
    """Return the function behind ``seriatim update``, with the options as its parameters."""

    def update(*, run: Path, data: list[Path], json: bool, **typed: object) -> None:
        """Continue the training of a run with new data, and show what it learned and forgot."""
        _update(run, data, values(UpdateOptions, typed), json)

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
                    list[Path], typer.Argument(metavar="DATA", help="new data, in the form of the training data")
                ],
            ),
            *parameters(UpdateOptions, {UpdateOptions: "Update"}),
            inspect.Parameter("json", keyword, default=False, annotation=Json),
        ]
    )
    return update


def _update(run: Path, data: list[Path], options: dict[str, Any], as_json: bool) -> None:
    from seriatim import run as runs
    from seriatim.cli.progress import make_observer

    loaded = runs.load(run)
    observer = make_observer(quiet=bool(options.get("quiet")))
    try:
        result = loaded.update(data if len(data) > 1 else data[0], observer=observer, **options)
    finally:
        observer.end()
    if as_json:
        write_json(result)
        return
    show(_table(result, loaded.main_score))
    say()
    say(f"run folder: {result['run']}")


def _table(result: Mapping[str, Any], main_score: str) -> TextTable:
    """Return the main score on new and old data, before and after, and the baselines' scores on new data."""
    rows = {
        f"{result['model']} {when}": (result[when]["new"].get(main_score), (result[when]["old"] or {}).get(main_score))
        for when in ("before", "after")
    }
    rows |= {name: (scores.get(main_score), None) for name, scores in result["baselines"].items()}
    blend = result.get("blend")
    if blend:
        rows[f"{blend_name(blend['parts'])} after"] = blend["scores"].get(main_score), None
    places = decimals(score for pair in rows.values() for score in pair)
    return TextTable(
        columns=("model", f"{main_score}, new data", "old data"),
        rows=[(name, *(number(score, places) for score in pair)) for name, pair in rows.items()],
        marked=list(rows).index(f"{result['model']} after"),
        numeric=frozenset((f"{main_score}, new data", "old data")),
    )
