"""``search``: trials until there are enough of them, or until the time is over."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from seriatim.errors import UsageError
from seriatim.run import Observer, Plain, Run, Silent
from seriatim.run.claim import FolderInUse
from seriatim.run.task_options import check_option
from seriatim.storage import write_bytes
from seriatim.tune.best_run import keep_best
from seriatim.tune.observer import SearchObserver
from seriatim.tune.plot import draw
from seriatim.tune.results import Search, as_csv, describe_trials, trial_folder
from seriatim.tune.space import default_space, read_space, space_as_json
from seriatim.tune.study import begin_trial, continue_trial, is_worked_on, open_study
from seriatim.tune.trial import SCORE, OutOfTime, TrialSettings, run_trial

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from seriatim.run.task_options import TrainKeywords

TRIALS = 20
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def search(
    task: str,
    data: Any,
    space: Mapping[str, object] | None = None,
    *,
    trials: int = TRIALS,
    trial_time_limit: str | float | None = None,
    storage: str | None = None,
    prune: bool = True,
    observer: Observer | None = None,
    **options: Unpack[TrainKeywords],
) -> Search:
    """Search for the options of a task that give the best validation score, and keep the best run.

    ``space`` maps options to values, as ``{"hidden": "32..256:log", "model": "lstm,gru"}``; by default it is
    ``default_space(task)``. ``options`` are those of ``seriatim.train`` and hold for all trials; ``out`` is the folder
    of the search (default: ``runs/tune-TASK-HASH``, the same for the same search). The search ends when the study has
    ``trials`` finished trials, or after the option ``time_limit``; each trial ends after ``trial_time_limit``.
    ``storage`` is the URL of a database for Optuna; by default the study is a file in the folder. Trials that are worse
    than the median of the others are cut short, unless ``prune`` is false.

    The same call again continues the search, also at the same time in other processes. Raises ``UsageError`` for a
    space or options that do not fit, and as ``train`` does.

    >>> import seriatim, tempfile
    >>> texts = ["the sun is warm", "the sea is cold"] * 20, ["warm", "cold"] * 20
    >>> fixed = {"epochs": 1, "baselines": "fast", "out": tempfile.mkdtemp() + "/search", "quiet": True}
    >>> search = seriatim.tune.search("classify", texts, {"hidden": "4..8", "model": "gru,rnn"}, trials=2, **fixed)
    >>> len(search.trials), sorted(search.best["params"]), sorted(search.run.result["baselines"])
    (2, ['hidden', 'model'], ['majority'])
    """
    values: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if trials < 1:
        raise UsageError(f"trials: got {trials}, wanted at least 1")
    parameters = read_space(task, default_space(task) if space is None else space)
    baselines, quiet = values.pop("baselines", "all"), values.pop("quiet", False)
    out, limit = values.pop("out", None), check_option(task, "time_limit", values.pop("time_limit", None))
    _check_fixed(task, {**values, "baselines": baselines}, {parameter.name for parameter in parameters})
    if trial_time_limit is not None:
        values["time_limit"] = check_option(task, "time_limit", trial_time_limit)
    described = {"task": task, "data": _names(data), "space": space_as_json(parameters), "options": _as_json(values)}
    folder = Path(out) if out is not None else Path("runs") / f"tune-{task}-{_hash(described)}"
    study = open_study(folder, storage, described)
    deadline = time.monotonic() + (limit or math.inf)
    settings = TrialSettings(task, data, values, parameters, prune, deadline)
    shown = SearchObserver(observer or (Silent() if quiet else Plain()))
    _run_trials(study, folder, settings, trials, shown)
    return _finish(study, folder, settings, baselines, shown)


def _run_trials(
    study: optuna.Study, folder: Path, settings: TrialSettings, trials: int, observer: SearchObserver
) -> None:
    """Run trials, those that were killed first, until there are enough or the time is over."""
    folder_of = partial(trial_folder, folder)
    seed = int(settings.options.get("seed", 0))
    while time.monotonic() < settings.deadline:
        trial = continue_trial(study, folder_of, seed)
        if trial is None:
            if len(study.get_trials(deepcopy=False, states=[*FINISHED, TrialState.RUNNING])) >= trials:
                return
            trial = begin_trial(study, seed)
        try:
            run_trial(study, trial, folder_of(trial.number), settings, observer)
        except FolderInUse:  # another process was quicker
            continue
        except OutOfTime:
            observer.announce(f"the time is over: trial {trial.number} goes on when the search is started again")
            return
        observer.notes_are_new = False


def _finish(
    study: optuna.Study, folder: Path, settings: TrialSettings, baselines: str, observer: SearchObserver
) -> Search:
    """Keep the best run, unless other processes still train, and write the table and the plot."""
    run: Run | None = None
    if is_worked_on(study, partial(trial_folder, folder)):
        observer.announce("other processes still train; the last of them keeps the best run")
    elif study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        run = keep_best(study, folder, settings, baselines, observer)
    result = Search(
        task=settings.task,
        folder=folder,
        score=study.user_attrs.get(SCORE, "value"),
        space={parameter.name: parameter.text for parameter in settings.space},
        trials=describe_trials(study, folder),
        run=run,
    )
    write_bytes(folder / "trials.csv", as_csv(result).encode(), is_shared=True)
    write_bytes(folder / "trials.svg", draw(result), is_shared=True)
    return result


def _check_fixed(task: str, options: Mapping[str, object], tried: set[str]) -> None:
    """Refuse options that a search sets itself, options that are tried, and wrong values. Raises ``UsageError``."""
    for name, value in options.items():
        if name in tried:
            raise UsageError(f"{name}: is tried, so it cannot be fixed too; leave one of them out")
        if name == "resume":
            raise UsageError("resume: a search always goes on where it stopped; leave it out")
        if name == "ensemble" and value != 1:
            raise UsageError("ensemble: a search compares single networks; train the best options again with it")
        check_option(task, name, value)


def _names(data: Any) -> list[str] | None:
    """Return the names of the files of the data, without their folders, which may differ between machines."""
    items = data if isinstance(data, (list, tuple)) else [data]
    are_paths = all(isinstance(item, (str, Path)) and "\n" not in str(item) and len(str(item)) < 512 for item in items)
    return [Path(item).name for item in items] if are_paths else None


def _as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as JSON values: tuples become lists, and paths strings."""
    content: dict[str, Any] = json.loads(json.dumps(dict(options), default=str))
    return content


def _hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:6]
