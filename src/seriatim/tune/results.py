"""The result of a search: its trials, the best one, and the run that was kept."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from seriatim.run import Run
from seriatim.tune.trial import ERROR

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "unfinished",
    TrialState.WAITING: "unfinished",
}


@dataclass(frozen=True)
class Search:
    """The result of a search, which may still continue."""

    task: str
    folder: Path
    """The folder of the search: its study, a run folder for each trial, the best run, a table and a plot."""
    score: str
    """The validation score that was compared; lower is better."""
    space: Mapping[str, str]
    trials: Sequence[Mapping[str, Any]]
    """The trials in order, each with ``trial, state, value, params, seconds, run`` and ``error``."""
    run: Run | None
    """The best trial as an ordinary run with baselines; None if no trial is complete, or if others still train."""

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The complete trial with the lowest value, or None."""
        complete = [trial for trial in self.trials if trial["state"] == "complete"]
        return min(complete, key=lambda trial: float(trial["value"]), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the search as JSON values."""
        return {
            "task": self.task,
            "folder": str(self.folder),
            "score": self.score,
            "space": dict(self.space),
            "trials": [dict(trial) for trial in self.trials],
            "best": None if self.best is None else dict(self.best),
            "run": None if self.run is None else str(self.run.path),
            "result": None if self.run is None else self.run.result,
        }


def describe_trials(study: optuna.Study, folder: Path) -> list[dict[str, Any]]:
    """Return the trials of a study as JSON values. The value of a pruned one is its best validation so far."""
    described = []
    for trial in study.get_trials(deepcopy=False):
        value = trial.value
        if value is None and trial.intermediate_values:
            value = min(trial.intermediate_values.values())
        described.append(
            {
                "trial": trial.number,
                "state": STATES[trial.state],
                "value": value,
                "params": dict(trial.params),
                "seconds": None if trial.duration is None else round(trial.duration.total_seconds(), 3),
                "run": str(trial_folder(folder, trial.number)),
                "error": trial.user_attrs.get(ERROR),
            }
        )
    return described


def trial_folder(folder: Path, number: int) -> Path:
    """Return the run folder of a trial."""
    return folder / "trials" / f"{number:04d}"


def as_csv(search: Search) -> str:
    """Return the trials as CSV, one row each, with a column for each option."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = list(search.space)
    writer.writerow(["trial", "state", search.score, *names, "seconds", "run", "error"])
    for trial in search.trials:
        params = trial["params"]
        cells = [trial["trial"], trial["state"], trial["value"], *(params.get(name) for name in names)]
        writer.writerow([*cells, trial["seconds"], trial["run"], trial["error"]])
    return stream.getvalue()
