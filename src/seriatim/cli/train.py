"""``seriatim train TASK DATA``: one command for each task, made from the task's options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from seriatim.cli.output import Json, write_json
from seriatim.cli.signature import parameters, values
from seriatim.errors import UsageError
from seriatim.learning.options import LearningOptions
from seriatim.models.options import ModelOptions
from seriatim.tasks.options import SequenceOptions, SubwordOptions, TextOptions, TrainOptions, WritingOptions
from seriatim.tasks.registry import TaskRow

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="RUN/config.json",
        help="train again what a run was: its options and its data hold where none are given",
        rich_help_panel="Run",
        show_default=False,
    ),
]


def command(task: TaskRow) -> Callable[..., None]:
    """Return the function behind ``seriatim train TASK``, with the task's options as its parameters."""

    def train(*, data: list[Path] | Path | None, config: Path | None, json: bool, **typed: object) -> None:
        files = data if isinstance(data, list) else [data] if data else []
        if not files and config is None and not task.data_is_optional:
            raise UsageError(f"missing argument 'DATA' (see 'seriatim train {task.name} --help')")
        _train(task.name, files, values(task.options, typed), json, config)

    keyword = inspect.Parameter.KEYWORD_ONLY
    train.__doc__ = task.summary
    train.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                "data",
                keyword,
                default=None,
                annotation=data_annotation(task, is_optional=True),
            ),
            *parameters(task.options, panels_of(task)),
            inspect.Parameter("config", keyword, default=None, annotation=Config),
            inspect.Parameter("json", keyword, default=False, annotation=Json),
        ]
    )
    return train


def panels_of(task: TaskRow) -> dict[type, str]:
    """Return the help panel of each class of options, in the order of the help."""
    return {
        task.options: f"The {task.name} task",
        SequenceOptions: "Sequences",
        WritingOptions: "Writing",
        SubwordOptions: "Text",
        TextOptions: "Text",
        ModelOptions: "Model",
        LearningOptions: "Training",
        TrainOptions: "Run",
    }


def data_annotation(task: TaskRow, *, is_optional: bool) -> object:
    """Return the annotation of the argument DATA."""
    type_: Any = list[Path] if task.takes_several_files else Path
    if is_optional:
        return Annotated[type_ | None, typer.Argument(metavar="[DATA]", help=task.data, show_default=False)]
    return Annotated[type_, typer.Argument(metavar="DATA", help=task.data)]


def train_again(config: Path, out: str | None, as_json: bool) -> None:
    """Train again what the run of ``config`` was: its task, options and data."""
    from seriatim.run.repetition import read_repetition

    _train(read_repetition(config).task, [], {} if out is None else {"out": out}, as_json, config)


def _train(task: str, files: list[Path], options: dict[str, Any], as_json: bool, config: Path | None) -> None:
    if config is not None:
        options = {**options, "config": config}
    from seriatim import run as runs
    from seriatim.cli.progress import make_observer
    from seriatim.cli.scores import show_result
    from seriatim.learning.team import find_team

    leads = find_team().leads  # of several processes, rank 0 speaks
    observer = make_observer(quiet=bool(options.get("quiet")) or not leads)
    try:
        data = files if len(files) > 1 else files[0] if files else None
        run = runs.train(task, data, observer=observer, **options)
    finally:
        observer.end()  # also if the training never began, because the bar must end with the command
    if not leads:
        return
    if as_json:
        write_json(run.result)
    else:
        show_result(run, run.result, run.verdict(), run.notes if options.get("quiet") else ())
