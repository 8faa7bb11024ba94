"""The parameters of an estimator are the options of its task, each None for the default of ``seriatim.train``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seriatim.errors import ArgumentError, nearest
from seriatim.run.task_options import TrainKeywords, task_options

if TYPE_CHECKING:
    from numpy.random import RandomState

NEVER = ("out", "resume", "quiet", "seed", "valid", "test", "header", "log")
"""Options that an estimator sets itself (``random_state`` is the seed, ``verbose`` the opposite of quiet)."""


class EstimatorKeywords(TrainKeywords, total=False):
    """The parameters of all estimators. Each refuses the options of other tasks."""

    random_state: int | RandomState | None
    verbose: bool


def signature_of(task: str, without: Sequence[str] = ()) -> inspect.Signature:
    """Return the signature of an estimator's ``__init__``: the options of ``task`` except ``without``."""
    names = [name for name in task_options(task) if name not in (*NEVER, *without)]
    defaults = {"random_state": None, "verbose": False}
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *(inspect.Parameter(name, keyword, default=None) for name in names),
            *(inspect.Parameter(name, keyword, default=default) for name, default in defaults.items()),
        ]
    )


def set_parameters(estimator: Any, values: Mapping[str, object]) -> None:
    """Set each parameter of ``estimator`` as an attribute. Raises ``ArgumentError`` for an unknown one."""
    parameters = dict(inspect.signature(type(estimator).__init__).parameters)
    del parameters["self"]
    for name in values:
        if name not in parameters:
            raise ArgumentError(f"{type(estimator).__name__}: no parameter '{name}'{nearest(name, parameters)}")
    for name, parameter in parameters.items():
        setattr(estimator, name, values.get(name, parameter.default))
