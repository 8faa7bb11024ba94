"""``seriatim train TASK DATA``: one command per task, made from the task's options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from seriatim.cli.output import Json, write_json
from seriatim.cli.signature import parameters, values
from seriatim.learning.options import LearningOptions
from seriatim.models.options import ModelOptions
from seriatim.tasks.options import (
    CaptionOptions,
    ClassifyOptions,
    ForecastOptions,
    LanguageOptions,
    RegressOptions,
    SequenceOptions,
    TagOptions,
    TextOptions,
    TrainOptions,
    TranslateOptions,
    WritingOptions,
)


@dataclass(frozen=True)
class Task:
    """A task as the command line offers it."""

    name: str
    options: type[TrainOptions]
    data: object
    """Annotation of the DATA argument."""
    summary: str
    example: str
    optional: bool = False
    """Whether options can name the data instead."""


TASKS = (
    Task(
        "language",
        LanguageOptions,
        Annotated[list[Path], typer.Argument(metavar="DATA", help="text files (UTF-8), or a bundled set")],
        "Train a language model on text: it predicts each character, word or byte pair from those before it.",
        "seriatim train language corpus.txt --hidden 256 --time-limit 5m",
    ),
    Task(
        "classify",
        ClassifyOptions,
        Annotated[Path, typer.Argument(metavar="DATA", help="a table, a .ts file, or a bundled set")],
        "Train a classifier of texts, recordings or multichannel numeric sequences.",
        "seriatim train classify messages.tsv --text text --label label",
    ),
    Task(
        "forecast",
        ForecastOptions,
        Annotated[Path, typer.Argument(metavar="DATA", help="a table, or a bundled set")],
        "Train a forecaster of one series or many, with the 10, 50 and 90 % quantiles.",
        "seriatim train forecast prices.csv --time date --target close --horizon 24",
    ),
    Task(
        "regress",
        RegressOptions,
        Annotated[Path, typer.Argument(metavar="DATA", help="a table, a .ts file, or a bundled set")],
        "Train a regression of texts, recordings or numeric sequences: a number for each, with quantiles.",
        "seriatim train regress engines.csv --channels a,b --id engine --target life --every-step --lookback 30",
    ),
    Task(
        "tag",
        TagOptions,
        Annotated[Path, typer.Argument(metavar="DATA", help="CoNLL-U, columns, JSON lines, or a bundled set")],
        "Train a tagger: a part of speech, or the part of a name, for each word of a sentence.",
        "seriatim train tag treebank.conllu --test held-out.conllu",
    ),
    Task(
        "translate",
        TranslateOptions,
        Annotated[
            list[Path] | None,
            typer.Argument(metavar="[DATA]", help="a table, two parallel files, or a bundled set", show_default=False),
        ],
        "Train an encoder and a decoder on pairs of texts: translations, replies, sums, dates.",
        "seriatim train translate --source-file train.de --target-file train.en --unit bpe",
        optional=True,
    ),
    Task(
        "caption",
        CaptionOptions,
        Annotated[Path, typer.Argument(metavar="DATA", help="a table of images and captions, or a bundled set")],
        "Train a captioner: a picture, or its feature vectors, in words.",
        "seriatim train caption photos.csv --image file --text caption",
    ),
)


def command(task: Task) -> Callable[..., None]:
    """The function behind ``seriatim train TASK``: its signature is the task's options."""

    def train(*, data: list[Path] | Path | None, json: bool, **given: object) -> None:
        _train(task, data if isinstance(data, list) else [data] if data else [], values(task.options, given), json)

    panels: dict[type, str] = {
        task.options: f"The {task.name} task",
        SequenceOptions: "Sequences",
        WritingOptions: "Writing",
        TextOptions: "Text",
        ModelOptions: "Model",
        LearningOptions: "Training",
        TrainOptions: "Run",
    }
    keyword = inspect.Parameter.KEYWORD_ONLY
    train.__doc__ = task.summary
    train.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                "data", keyword, default=None if task.optional else inspect.Parameter.empty, annotation=task.data
            ),
            *parameters(task.options, panels),
            inspect.Parameter("json", keyword, default=False, annotation=Json),
        ]
    )
    return train


def _train(task: Task, words: list[Path], given: dict[str, Any], as_json: bool) -> None:
    from seriatim import run as runs
    from seriatim.cli.progress import observer
    from seriatim.cli.scores import show_result

    watching = observer(quiet=bool(given.get("quiet")))
    try:
        data = words if len(words) > 1 else words[0] if words else None
        run = runs.train(task.name, data, observer=watching, **given)
    finally:
        watching.end()  # also when training was never reached: a bar must not outlive the command
    if as_json:
        write_json(run.result)
    else:
        show_result(run, run.result, run.verdict(), run.notes if given.get("quiet") else ())
