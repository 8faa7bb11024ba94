"""Refuses columns that a model would both read and predict."""

from __future__ import annotations

from typing import Final

from seriatim.errors import UsageError
from seriatim.tasks.options import TrainOptions

INPUTS_AND_ANSWERS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "classify": (("text", "sound", "channels"), "label"),
    "regress": (("text", "sound", "channels"), "target"),
    "forecast": (("time", "id"), "target"),
    "tag": (("words",), "column"),
    "translate": (("source",), "target"),
    "caption": (("image", "features"), "text"),
}
"""For each task the options with columns that it reads, and the option with the columns that it predicts."""


def check_columns(task: str, options: TrainOptions) -> None:
    """Raise ``UsageError`` if a column of the inputs is also a column of the answers."""
    inputs, answer = INPUTS_AND_ANSWERS.get(task, ((), ""))
    answers = _columns(options, answer)
    for name in inputs:
        shared = _columns(options, name) & answers
        if shared:
            raise UsageError(f"{name}: '{min(shared)}' is also the {answer}, which the model has to predict")


def _columns(options: TrainOptions, name: str) -> set[str]:
    value = getattr(options, name, None) or ()
    return {column.strip() for column in ([value] if isinstance(value, str) else value)}
