"""The registry of tasks: one row for each, which the command line reads too. A task's own module is imported late.

To add a task, write ``tasks/NAME.py`` and ``tasks/options/NAME.py``, and add a row here. The options that are new must
also be listed in ``tasks/options/keywords.py``, for type checkers; a test names those that are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from seriatim.errors import UsageError, nearest
from seriatim.tasks.options import (
    CaptionOptions,
    ClassifyOptions,
    ForecastOptions,
    LanguageOptions,
    RegressOptions,
    TagOptions,
    TrainOptions,
    TranslateOptions,
)

if TYPE_CHECKING:
    from seriatim.tasks.task import Task


@dataclass(frozen=True)
class TaskRow:
    """A task as the command line and ``find_task`` need it, without PyTorch."""

    name: str
    """It is also the name of the task's module, and capitalized of its class."""
    options: type[TrainOptions]
    data: str
    """Help for the argument DATA."""
    summary: str
    example: str
    takes_several_files: bool = False
    data_is_optional: bool = False
    """Whether options can name the data instead of DATA."""


ROWS = (
    TaskRow(
        "language",
        LanguageOptions,
        "text files (UTF-8), or a bundled set",
        "Train a language model on text: it predicts each character, word or byte pair from the text before it.",
        "seriatim train language corpus.txt --hidden 256 --time-limit 5m",
        takes_several_files=True,
    ),
    TaskRow(
        "classify",
        ClassifyOptions,
        "a table, a .ts file, or a bundled set",
        "Train a classifier of texts, recordings or multichannel numeric sequences.",
        "seriatim train classify messages.tsv --text text --label label",
    ),
    TaskRow(
        "forecast",
        ForecastOptions,
        "a table, or a bundled set",
        "Train a forecaster of one or several series, with the 10, 50 and 90 % quantiles.",
        "seriatim train forecast prices.csv --time date --target close --horizon 24",
    ),
    TaskRow(
        "regress",
        RegressOptions,
        "a table, a .ts file, or a bundled set",
        "Train a model that predicts a number, with quantiles, for each text, recording or numeric sequence.",
        "seriatim train regress engines.csv --channels a,b --id engine --target life --every-step --lookback 30",
    ),
    TaskRow(
        "tag",
        TagOptions,
        "CoNLL-U, columns, JSON lines, or a bundled set",
        "Train a tagger of words, for parts of speech or for names.",
        "seriatim train tag treebank.conllu --test held-out.conllu",
    ),
    TaskRow(
        "translate",
        TranslateOptions,
        "a table, two parallel files, or a bundled set",
        "Train an encoder and a decoder on pairs of texts: translations, replies, sums, dates.",
        "seriatim train translate --source-file train.de --target-file train.en --unit bpe",
        takes_several_files=True,
        data_is_optional=True,
    ),
    TaskRow(
        "caption",
        CaptionOptions,
        "a table of images and captions, or a bundled set",
        "Train a captioner, which describes a picture or its feature vectors in words.",
        "seriatim train caption photos.csv --image file --text caption",
    ),
)

NAMES = tuple(row.name for row in ROWS)


def find_task(name: str) -> Task[Any, Any, Any]:
    """Return the task called ``name``. Raises ``UsageError`` with the nearest known name."""
    if name not in NAMES:
        raise UsageError(f"no task '{name}'{nearest(name, NAMES)}")
    task: Task[Any, Any, Any] = getattr(import_module(f"seriatim.tasks.{name}"), name.capitalize())()
    return task
