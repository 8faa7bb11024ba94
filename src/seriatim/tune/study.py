"""The study of a search: Optuna's record of its trials, in a file beside them or in a database."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DatabaseError

from seriatim.addresses import without_password
from seriatim.errors import RunError, UsageError
from seriatim.run.claim import FolderInUse, claim

JOURNAL = "study.journal"
STARTUP = 5
"""Trials that are compared with nothing: before them no trial is pruned."""
PAUSES = (0.2, 1.0, 2.0)
"""Seconds before each further try to open a database."""
SETTINGS, HOST = "settings", "host"
ABANDONED = 60.0
"""Seconds after which a trial without a folder was killed before its training began."""


def open_study(folder: Path, storage: str | None, settings: Mapping[str, Any]) -> optuna.Study:
    """Open or create the study of the search in ``folder``; it is called as the folder.

    Raises ``UsageError`` if a search with other settings is there, and ``RunError`` if the storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place: Any = _database(storage) if storage else JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
        study = optuna.create_study(
            study_name=folder.name,
            storage=place,
            direction="minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
            load_if_exists=True,
        )
    except OSError as error:
        raise RunError(f"out: {folder} cannot be written ({error.strerror})") from None
    except Exception as error:  # each database has its own errors
        place = without_password(storage) if storage else folder / JOURNAL
        raise RunError(f"storage: '{place}' cannot be opened: {_first_line(error)}") from None
    text = json.dumps(settings, sort_keys=True)
    stored = study.user_attrs.get(SETTINGS)
    if stored is None:
        study.set_user_attr(SETTINGS, text)
    elif stored != text:
        raise UsageError(
            f"out: {folder} has a search with other settings ({_difference(json.loads(stored), settings)}); give "
            "another folder, or the same command to go on"
        )
    return study


def _database(url: str) -> RDBStorage:
    """Connect to a database and make Optuna's tables if they are missing.

    Of two processes that make them at the same time, the database refuses one, which then tries again.
    """
    for pause in PAUSES:
        try:
            return RDBStorage(url)
        except DatabaseError:
            time.sleep(pause)
    return RDBStorage(url)


def begin_trial(study: optuna.Study, seed: int) -> Trial:
    """Begin a new trial. Its values depend on the trials so far, ``seed``, and its number."""
    study.sampler = _sampler(seed, len(study.get_trials(deepcopy=False)))
    trial = study.ask()
    study.sampler = _sampler(seed, trial.number)
    trial.set_user_attr(HOST, socket.gethostname())
    return trial


def continue_trial(study: optuna.Study, folder_of: Callable[[int], Path], seed: int) -> Trial | None:
    """Return a trial whose process was killed, to go on with, or None if there is none.

    A trial belongs to a living process if that holds the lock of its folder.
    """
    for frozen in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if _is_abandoned(frozen, folder_of(frozen.number)):
            study.sampler = _sampler(seed, frozen.number)
            return Trial(study, frozen._trial_id)
    return None


def is_worked_on(study: optuna.Study, folder_of: Callable[[int], Path]) -> bool:
    """Whether another process trains one of the trials."""
    running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    return any(not _is_abandoned(trial, folder_of(trial.number)) for trial in running)


def _is_abandoned(trial: FrozenTrial, folder: Path) -> bool:
    """Whether no living process works on a running trial. Without its folder, only this machine's trials count."""
    if not folder.exists():
        if trial.user_attrs.get(HOST) != socket.gethostname() or trial.datetime_start is None:
            return False
        age = type(trial.datetime_start).now() - trial.datetime_start
        return age.total_seconds() > ABANDONED
    try:
        with claim(folder):
            return True
    except FolderInUse:
        return False


def _sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    mixed = (seed * 1_000_003 + number) % 2**32
    return optuna.samplers.TPESampler(seed=mixed, constant_liar=True)


def _difference(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Describe the first setting that differs."""
    for name in (*settings, *stored):
        if stored.get(name) != settings.get(name):
            return f"{name}: {stored.get(name)!r} there, {settings.get(name)!r} here"
    return "another order"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
