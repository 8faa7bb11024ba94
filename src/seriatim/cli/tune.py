"""``seriatim tune TASK DATA``: a search over options; its other options hold for all trials."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seriatim.cli.output import Json, TextTable, decimals, number, say, show, write_json
from seriatim.cli.signature import parameters, values
from seriatim.cli.train import data_annotation, panels_of
from seriatim.errors import UsageError
from seriatim.tasks.registry import TaskRow

if TYPE_CHECKING:
    from seriatim.tune import Search

EXAMPLE = "seriatim tune classify messages.tsv --text text --label label --try hidden=32..256:log --trials 40"
SHOWN = 10
"""Trials in the table; all are in ``trials.csv``."""

PANEL = "The search"
OWN: dict[str, tuple[Any, Any]] = {
    "tries": (
        list[str] | None,
        typer.Option(
            "--try",
            metavar="NAME=SPACE",
            help="an option to try, once for each: hidden=64..512, lr=1e-4..1e-2:log, dropout=0..0.5:step=0.1, "
            "model=lstm,gru (default: the space that --space prints)",
            rich_help_panel=PANEL,
        ),
    ),
    "trials": (
        int,
        typer.Option("--trials", help="number of trials of the whole search (default: 20)", rich_help_panel=PANEL),
    ),
    "time_limit": (
        str | None,
        typer.Option(
            "--time-limit",
            metavar="DURATION",
            help="end this process after about this long; the search can be started again",
            rich_help_panel=PANEL,
        ),
    ),
    "trial_time_limit": (
        str | None,
        typer.Option(
            "--trial-time-limit",
            metavar="DURATION",
            help="end each trial after this long, as --time-limit of train (default: 10m, none with --epochs)",
            rich_help_panel=PANEL,
        ),
    ),
    "storage": (
        str | None,
        typer.Option(
            "--storage",
            metavar="URL",
            help="database of the study, such as postgresql://… (default: a file in --out)",
            rich_help_panel=PANEL,
        ),
    ),
    "prune": (
        bool,
        typer.Option(
            "--prune/--no-prune", help="cut trials short that are worse than the median", rich_help_panel=PANEL
        ),
    ),
    "space": (
        bool,
        typer.Option("--space", help="print the default space of the task, and do nothing", rich_help_panel=PANEL),
    ),
}
DEFAULTS: dict[str, Any] = {"trials": 20, "prune": True, "space": False}


def command(task: TaskRow) -> Callable[..., None]:
    """Return the function behind ``seriatim tune TASK``."""

    def tune(*, data: list[Path] | Path | None, json: bool, **typed: Any) -> None:
        own = {name: typed.pop(name) for name in OWN}
        if own.pop("space"):
            _show_space(task.name, json)
            return
        files = data if isinstance(data, list) else [data] if data else []
        if not files and not task.data_is_optional:
            raise UsageError(f"tune {task.name}: wanted DATA, {task.data}")
        _tune(task, files, own, values(task.options, typed), json)

    keyword = inspect.Parameter.KEYWORD_ONLY
    fixed = [option for option in parameters(task.options, panels_of(task)) if option.name not in (*OWN, "resume")]
    tune.__doc__ = f"Search for the options of {task.name} with the best validation score, and keep the best run."
    tune.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("data", keyword, default=None, annotation=data_annotation(task, is_optional=True)),
            *(
                inspect.Parameter(name, keyword, default=DEFAULTS.get(name), annotation=Annotated[type_, info])
                for name, (type_, info) in OWN.items()
            ),
            *fixed,
            inspect.Parameter("json", keyword, default=False, annotation=Json),
        ]
    )
    return tune


def read_tries(tries: list[str] | None) -> dict[str, str] | None:
    """Read ``NAME=SPACE`` of each ``--try``. None if there is none. Raises ``UsageError``."""
    if not tries:
        return None
    space: dict[str, str] = {}
    for text in tries:
        name, equals, values = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not name:
            raise UsageError(f"--try: got '{text}', wanted NAME=SPACE, such as hidden=64..512")
        if name in space:
            raise UsageError(f"--try: {name} is given twice")
        space[name] = values
    return space


def _tune(task: TaskRow, files: list[Path], own: dict[str, Any], options: dict[str, Any], as_json: bool) -> None:
    space = read_tries(own.pop("tries"))
    from seriatim import tune
    from seriatim.cli.progress import make_observer

    observer = make_observer(quiet=bool(options.get("quiet")))
    try:
        data = files if len(files) > 1 else files[0] if files else None
        search = tune.search(task.name, data, space, observer=observer, **own, **options)
    finally:
        observer.end()
    if as_json:
        write_json(search.to_json())
    else:
        _show(search)


def _show(search: Search) -> None:
    """Write the best trials, the options of the best one, and its scores."""
    from seriatim.cli.scores import show_result

    names = list(search.space)
    ranked = sorted(search.trials, key=_rank)
    places = decimals([trial["value"] for trial in ranked])
    rows = [
        (
            str(trial["trial"]), number(trial["value"], places), trial["state"],
            *(_shown(trial["params"].get(name)) for name in names),
        )
        for trial in ranked[:SHOWN]
    ]  # fmt: skip
    show(
        TextTable(("trial", search.score, "state", *names), rows, 0 if search.best else None, frozenset({search.score}))
    )
    rest = len(search.trials) - len(rows)
    say()
    if rest:
        say(f"{rest} more trials in {search.folder / 'trials.csv'}")
    say(f"plot: {search.folder / 'trials.svg'}")
    if search.run is None:
        say("no best run yet: no trial is complete, or other processes still train")
        return
    say()
    show_result(search.run, search.run.result, search.run.verdict())


def _show_space(task: str, as_json: bool) -> None:
    from seriatim.tune import default_space

    space = default_space(task)
    if as_json:
        write_json(dict(space))
        return
    for name, text in space.items():
        say(f"--try {name.replace('_', '-')}={text}")


def _rank(trial: Mapping[str, Any]) -> tuple[bool, float]:
    """Order complete trials before the others, and trials without a validation last."""
    return trial["state"] != "complete", math.inf if trial["value"] is None else trial["value"]


def _shown(value: object) -> str:
    from seriatim.tune.trial import shown

    return "-" if value is None else shown(value)
