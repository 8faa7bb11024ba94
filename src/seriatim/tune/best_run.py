"""The best trial as an ordinary run: a copy of its folder, in which the baselines are fitted too."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from seriatim.run import Run, load, train
from seriatim.run.claim import FolderInUse, claim
from seriatim.run.promotion import copy_unfinished
from seriatim.storage import read_json, write_json
from seriatim.tune.observer import SearchObserver
from seriatim.tune.results import trial_folder
from seriatim.tune.trial import TrialSettings

MARK = "trial.json"
"""The file of the best run that says which trial it is."""


def keep_best(
    study: optuna.Study, folder: Path, settings: TrialSettings, baselines: str, observer: SearchObserver
) -> Run:
    """Return the run of the best trial in ``folder / "best"``, which replaces that of an earlier best trial.

    If several processes end at the same time, one of them makes the run, and the others wait for it.
    """
    while True:
        try:
            with claim(folder / ".lock"):
                return _keep(study, folder, settings, baselines, observer)
        except FolderInUse:
            time.sleep(0.5)


def _keep(study: optuna.Study, folder: Path, settings: TrialSettings, baselines: str, observer: SearchObserver) -> Run:
    best, target = study.best_trial, folder / "best"
    mark = {"trial": best.number, "baselines": baselines}
    if (target / MARK).exists() and read_json(target / MARK) == mark:
        return load(target)
    observer.announce(f"trial {best.number} is the best: its baselines are fitted")
    part = folder / ".best.part"
    shutil.rmtree(part, ignore_errors=True)
    copy_unfinished(trial_folder(folder, best.number), part, {"baselines": baselines})
    options: Mapping[str, Any] = {**settings.options, **best.params, "baselines": baselines}
    train(settings.task, settings.data, observer=observer, **{**options, "out": str(part), "resume": True})
    write_json(part / MARK, mark)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return load(target)
