"""``fit``: train a model by its task's plan, or solve it where it has a closed form."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from seriatim.learning import loop
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.observer import Observer
from seriatim.learning.plan import OnValidation, Outcome
from seriatim.learning.team import Team
from seriatim.models.contract import Trainable
from seriatim.models.naive.deadline import joined
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.task import ClosedForm, Model, PreparedData, Task


def fit(
    task: Task[Any, Any, Any],
    model: Model,
    options: TrainOptions,
    data: PreparedData[Any, Any],
    store: CheckpointStore,
    observer: Observer,
    on_validation: OnValidation | None = None,
    team: Team | None = None,
) -> Outcome:
    """Fit ``model`` on the training split, and choose its weights on the validation split.

    A model with a closed form is solved by each process of ``team`` for itself.

    Raises ``TrainingError`` when the loss is no longer finite, and ``Interrupted`` after Ctrl-C, SIGTERM or SIGHUP.
    """
    plan = task.plan(model, options, data)
    if isinstance(plan, ClosedForm):
        began = time.monotonic()
        limited_to = plan.solve() or ""
        return Outcome(0, 0, time.monotonic() - began, (), limited_to=limited_to)
    assert isinstance(model, Trainable)
    outcome = loop.fit(model, plan, options, store, observer, on_validation, team)
    return dataclasses.replace(outcome, limited_to=joined(plan.limited_to, outcome.limited_to))
