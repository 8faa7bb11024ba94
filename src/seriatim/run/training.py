"""``train``: from the user's data to a run folder with scores."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seriatim.data.bundled import bundled_sets
from seriatim.errors import DataError, UsageError, nearest
from seriatim.learning.checkpoint_store import CheckpointStore, FolderStore, NullStore
from seriatim.learning.observer import Observer, Plain, Silent
from seriatim.learning.plan import OnValidation, Outcome
from seriatim.learning.team import Team, find_team
from seriatim.learning.training_end import time_limit_of
from seriatim.models.options import check_cell
from seriatim.options import fill
from seriatim.run.blending import choose
from seriatim.run.fitting import fit
from seriatim.run.folder import begin, check_same_data, network_folder, options_to_resume
from seriatim.run.loggers.logging import logging
from seriatim.run.loggers.registry import make_logger
from seriatim.run.networks import FittedNetworks, check_ensemble, described, fit_each
from seriatim.run.opened import finite_scores, torch_settings
from seriatim.run.ranks import check_data_of_ranks, folder_of_ranks, options_of_ranks, with_threads_of_rank
from seriatim.run.repetition import read_repetition
from seriatim.run.verbs import Run
from seriatim.storage import write_arrays, write_json
from seriatim.tasks.common.blend import Member
from seriatim.tasks.common.columns import check_columns
from seriatim.tasks.common.word_vectors import InitialVectors, initial_vectors, with_vector_width
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.registry import find_task
from seriatim.tasks.task import Model, PreparedData, Task, parameter_count

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from seriatim.tasks.options.keywords import TrainKeywords

LONGEST_SHOWN = 200
"""Characters of a path that an error shows. A whole text may have been passed as one."""


def train(
    task: str,
    data: object = None,
    *,
    observer: Observer | None = None,
    on_validation: OnValidation | None = None,
    config: str | Path | None = None,
    **options: Unpack[TrainKeywords],
) -> Run:
    """Train a model on ``data``, score it together with the baselines, and save everything in a run folder.

    ``data`` is a path, several paths, the name of a bundled set, a Polars or pandas frame, NumPy arrays or lists. The
    options have the same names as in ``seriatim train TASK --help``. ``on_validation`` is called with each row of
    ``metrics.jsonl``; when it returns true, training ends, and the best weights so far are scored and saved. With
    ``ensemble`` a row also has the number of its ``network``, from 1.
    ``config`` is the ``config.json`` of a run: its options and its data hold where none are passed.

    Processes that ``torchrun`` started train together: each calls this function with the same arguments. The function
    returns on all of them when rank 0 has written the result.

    Raises ``UsageError`` for unknown or unsuitable options, ``DataError`` for data that the task cannot use,
    ``TrainingError`` if the loss is no longer finite, and ``Interrupted`` after Ctrl-C, SIGTERM or SIGHUP.

    >>> import seriatim, tempfile
    >>> texts = ["the sun is warm", "the fire is warm", "the sea is cold", "the ice is cold"] * 10
    >>> labels = ["warm", "warm", "cold", "cold"] * 10
    >>> folder = tempfile.mkdtemp() + "/run"
    >>> options = {"epochs": 2, "hidden": 8, "baselines": "fast", "quiet": True}
    >>> run = seriatim.train("classify", (texts, labels), out=folder, **options)
    >>> sorted(run.result["scores"])
    ['accuracy', 'macro_f1']
    >>> sorted(run.result["baselines"])
    ['majority']
    """
    task_object, explicit = find_task(task), _explicit(options)
    if config is not None:
        repetition = read_repetition(config, task)
        data = repetition.source if data is None else data
        explicit = {**repetition.options, **explicit}
    return Run(train_folder(task_object, data, explicit, find_team(), observer, on_validation))


def train_folder(
    task: Task[Any, Any, Any],
    data: object,
    options: Mapping[str, Any],
    team: Team,
    observer: Observer | None = None,
    on_validation: OnValidation | None = None,
) -> Path:
    """Train as ``train`` does, with ``team``. Return the run folder, which only rank 0 needs to see."""
    data, bundled_options = _bundled(task, data)
    explicit = options_of_ranks(team, {**bundled_options, **_explicit(options)})
    from_data, repeated = task.data_options(explicit, data), None
    if explicit.get("resume") and "out" in explicit:
        repeated = team.decide(lambda: options_to_resume(Path(str(explicit["out"])), task))
    if repeated is None:
        explicit = {**from_data.options, **explicit}
    defaults = task.model_defaults(explicit) if repeated is None else repeated
    filled = fill(task.options, {**defaults, **explicit})
    task = task.variant(filled)
    settings = with_vector_width(task, _with_absolute_paths(filled))
    check_cell(settings)
    task.check(settings)
    check_columns(task.name, settings)
    check_ensemble(task, settings, team)
    logger = make_logger(settings.log if team.leads else None)
    source = task.source(settings, data)
    observer = observer or (Silent() if settings.quiet else Plain())
    observer = observer if team.leads else Silent()
    with folder_of_ranks(team, task, settings) as folder, torch_settings(with_threads_of_rank(team, settings)):
        prepared = task.prepare(settings, source)
        check_data_of_ranks(team, prepared)
        if team.decide((folder / "result.json").exists):
            check_same_data(folder, prepared.hash)
            observer.note(
                f"{folder} is finished: nothing was trained. 'seriatim update' continues with new data, another --out "
                "starts a new training"
            )
            return folder
        if from_data.note and all(getattr(settings, name) == value for name, value in from_data.options.items()):
            prepared = dataclasses.replace(prepared, notes=(from_data.note, *prepared.notes))
        vectors = initial_vectors(settings, task.word_corpus(prepared))
        if vectors:
            prepared = dataclasses.replace(prepared, notes=(*prepared.notes, vectors.note))
        if team.leads:
            begin(folder, task, settings, prepared, source)
            for note in prepared.notes:
                observer.note(note)
            with logging(logger, folder, task.name, settings, observer) as logged:
                result = _fit_and_score(
                    task, settings, prepared, vectors, folder, observer, logged.calling(on_validation), team
                )
                write_json(folder / "result.json", result)
                logged.result = result
        else:
            _fit_networks(task, settings, prepared, vectors, lambda _: NullStore(), observer, None, team)
        team.wait()
    return folder


def _explicit(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that have a value. None means the default."""
    return {name: value for name, value in options.items() if value is not None}


def _fit_and_score(
    task: Task[Any, Any, Any],
    settings: TrainOptions,
    prepared: PreparedData[Any, Any],
    vectors: InitialVectors | None,
    folder: Path,
    observer: Observer,
    on_validation: OnValidation | None,
    team: Team,
) -> dict[str, Any]:
    """Fit the model with ``team``, then the baselines and their blend, and return the result."""

    def store_of(number: int) -> CheckpointStore:
        return FolderStore(network_folder(folder, number))

    networks = _fit_networks(task, settings, prepared, vectors, store_of, observer, on_validation, team)
    model, outcomes = networks.model, networks.outcomes
    if not isinstance(model, torch.nn.Module):
        write_arrays(folder / "model.safetensors", model.state_dict())
    baselines, limited = _fit_baselines(task, settings, prepared, folder, observer)
    if outcomes[0].limited_to:
        limited = {settings.model: outcomes[0].limited_to, **limited}
    network = Member(model, settings)
    blending = choose(task, network, baselines, prepared, folder, observer)
    return {
        "task": task.name,
        "model": settings.model,
        "run": str(folder),
        "data": {**prepared.sizes, "hash": prepared.hash},
        "scores": finite_scores(task, model, settings, prepared.codec, prepared.test),
        "baselines": {
            name: finite_scores(task, member.model, member.options, prepared.codec, prepared.test)
            for name, member in baselines.items()
        },
        "parameters": parameter_count(model),
        "epochs": max(outcome.epochs for outcome in outcomes),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 3),
        **blending,
        **({} if outcomes[0].found_lr is None else {"lr": outcomes[0].found_lr}),
        **({"limited": limited} if limited else {}),
        **described(task, settings, networks, prepared),
    }


def _fit_networks(
    task: Task[Any, Any, Any],
    options: TrainOptions,
    data: PreparedData[Any, Any],
    vectors: InitialVectors | None,
    store_of: Callable[[int], CheckpointStore],
    observer: Observer,
    on_validation: OnValidation | None,
    team: Team,
) -> FittedNetworks:
    """Train the networks that ``options`` ask for, with ``team``. ``store_of`` returns the store of each."""
    models: list[Model] = []

    def fit_one(number: int, own: TrainOptions, watch: OnValidation | None) -> Outcome:
        torch.manual_seed(own.seed)
        model = task.make(own, data.codec)
        if vectors:
            vectors.copy_to(model)
        models.append(model)
        return fit(task, model, own, data, store_of(number), observer, watch, team)

    outcomes = fit_each(options.ensemble, options, fit_one, observer, on_validation)
    return FittedNetworks(tuple(models), tuple(outcomes))


def _fit_baselines(
    task: Task[Any, Any, Any], options: TrainOptions, data: PreparedData[Any, Any], folder: Path, observer: Observer
) -> tuple[dict[str, Member], dict[str, str]]:
    """Fit the baselines that ``options`` ask for, and save them.

    Those that are trained have limits of their own. Together they train about as long as the model may, at most.
    Returns the baselines, and for those that the time limit cut the part of the work that it allowed.
    """
    names = [name for name in task.baselines_for(options) if task.suits(name, data)]
    limit = time_limit_of(options)
    trained = sum(name in task.neural_baselines for name in names)
    members, limited = {}, {}
    for name in names:
        observer.baseline(name)
        baseline_options = task.baseline_options(options, name)
        if name in task.neural_baselines:
            share = min(time_limit_of(baseline_options), limit / trained)
            baseline_options = dataclasses.replace(baseline_options, time_limit=share)
        torch.manual_seed(options.seed)
        model = task.make(baseline_options, data.codec)
        outcome = fit(task, model, baseline_options, data, NullStore(), observer)
        if outcome.limited_to:
            limited[name] = outcome.limited_to
        write_arrays(folder / "baselines" / f"{name}.safetensors", model.state_dict())
        members[name] = Member(model, baseline_options)
    return members, limited


def _bundled(task: Task[Any, Any, Any], data: object) -> tuple[object, Mapping[str, object]]:
    """Replace the name of a bundled set by its file, and return the options that read it.

    A file of the user with that name takes precedence.
    """
    if not isinstance(data, (str, Path)) or os.path.exists(data) or "\n" in str(data):  # a string may be a text
        return data, {}
    sets = {bundled.name: bundled for bundled in bundled_sets()}
    bundled_set = sets.get(str(data))
    if bundled_set is None:
        name = str(data)
        shown = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}…"
        raise DataError(f"{shown}: no such file, nor a bundled set of that name{nearest(name, sets)}")
    if bundled_set.task != task.name:
        raise UsageError(f"data: the bundled set '{bundled_set.name}' is for {bundled_set.task}, not {task.name}")
    return bundled_set.path, bundled_set.options


def _with_absolute_paths(options: TrainOptions) -> TrainOptions:
    """Make the paths of ``--valid`` and ``--test`` absolute, so that they stay valid in any working directory."""
    valid, test = (_absolute(file) if file else None for file in (options.valid, options.test))
    return dataclasses.replace(options, valid=valid, test=test)


def _absolute(file: str) -> str:
    """Return the absolute path of a file, or of two parallel files separated by a comma."""
    paths = [file] if Path(file).exists() else file.split(",")
    return ",".join(str(Path(path).absolute()) for path in paths)
