"""One trial: a training in a run folder of its own, judged by its validation rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from seriatim.errors import TrainingError, UsageError
from seriatim.run import train
from seriatim.run.inspection.inspect import read_rows
from seriatim.tune.observer import SearchObserver
from seriatim.tune.space import Parameter

SCORE = "score"
"""The attribute of a study with the name of the score that is compared."""
ERROR = "error"
"""The attribute of a failed trial that says why."""


class OutOfTime(Exception):
    """The time of the search is over. The trial stays, and goes on when the search is started again."""


@dataclass(frozen=True)
class TrialSettings:
    """The settings that all trials of a search share."""

    task: str
    data: Any
    options: Mapping[str, Any]
    space: Sequence[Parameter]
    prune: bool
    deadline: float
    """The time by ``time.monotonic`` at which the search ends."""


def run_trial(
    study: optuna.Study, trial: Trial, folder: Path, settings: TrialSettings, observer: SearchObserver
) -> None:
    """Train the run of ``trial`` in ``folder``, from its checkpoint if there is one, and tell the study its value.

    A training that diverges, or whose options contradict each other, is a failed trial. Raises ``OutOfTime`` at the
    deadline, and as ``train`` does for wrong data.
    """
    values = {parameter.name: parameter.suggest(trial) for parameter in settings.space}
    described = ", ".join(f"{name} {shown(value)}" for name, value in values.items())
    observer.announce(f"trial {trial.number}{' goes on' if folder.exists() else ''}: {described}")
    options: dict[str, Any] = {**settings.options, **values, "baselines": "none", "out": str(folder), "resume": True}
    report = _reporting(study, trial, folder, settings)
    try:
        train(settings.task, settings.data, observer=observer, on_validation=report, **options)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        return
    except (TrainingError, UsageError) as error:
        if isinstance(error, UsageError) and not _any_succeeded(study):
            raise
        trial.set_user_attr(ERROR, str(error))
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        return
    study.tell(trial, best_value(folder), skip_if_finished=True)


def _reporting(
    study: optuna.Study, trial: Trial, folder: Path, settings: TrialSettings
) -> Callable[[Mapping[str, float]], bool]:
    """Return a callback that reports each validation to the study, and ends a trial that is worse than most."""

    def report(row: Mapping[str, float]) -> bool:
        step = len(read_rows(folder / "metrics.jsonl"))
        known = study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if step not in known:  # a trial that goes on validates some rows again
            name, value = monitored(row)
            trial.report(value, step)
            if SCORE not in study.user_attrs:
                study.set_user_attr(SCORE, name)
        if settings.prune and trial.should_prune():
            raise optuna.TrialPruned
        if time.monotonic() >= settings.deadline:
            raise OutOfTime
        return False

    return report


def monitored(row: Mapping[str, float]) -> tuple[str, float]:
    """Return the name and the value of the score that chooses the best weights: the first of the validation part."""
    name = next(name for name in row if name.startswith("valid_"))
    return name, float(row[name])


def best_value(folder: Path) -> float:
    """Return the best validation score of a run. Raises ``UsageError`` for a model without validations."""
    rows = read_rows(folder / "metrics.jsonl")
    if not rows:
        raise UsageError("try: a model that is not trained by gradient has no validation rows to compare; leave it out")
    return min(monitored(row)[1] for row in rows)


def shown(value: object) -> str:
    """Return a value for a note or a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _any_succeeded(study: optuna.Study) -> bool:
    return bool(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED]))
