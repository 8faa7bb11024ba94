"""``train``: from a user's data to a run folder with scores."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seriatim.data.bundled import bundled_sets
from seriatim.errors import DataError, UsageError, nearest
from seriatim.learning.checkpoint_store import FolderStore, NullStore
from seriatim.learning.loop import Outcome
from seriatim.learning.observer import Observer, Plain, Silent
from seriatim.learning.optimization import check_schedule
from seriatim.models.options import check_cell, defaults_of
from seriatim.options import fill
from seriatim.run.folder import begin, open_folder
from seriatim.run.verbs import Run, computing, score
from seriatim.storage import write_arrays, write_json
from seriatim.tasks.common.vectors import Start, find_start, with_vector_width
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.registry import find_task
from seriatim.tasks.task import Model, Prepared, Task, parameter_count

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from seriatim.tasks.options.keywords import TrainKeywords


def train(task: str, data: object = None, *, observer: Observer | None = None, **options: Unpack[TrainKeywords]) -> Run:
    """Train a model on ``data``, score it beside the naive baselines on the same split, and keep it all in a folder.

    ``data`` is a path, several paths, the name of a bundled set, a Polars or pandas frame, NumPy arrays or lists; the
    options are those of
    ``seriatim train TASK --help``, with the same names. Raises ``UsageError`` for options that do not exist or do not
    fit, ``DataError`` for data that the task cannot use, ``TrainingError`` when the loss is no longer finite, and
    ``Interrupted`` after Ctrl-C.
    """
    kind = find_task(task)
    data, brought = _bundled(kind, data)
    given = {name: value for name, value in options.items() if value is not None}
    filled = fill(kind.options, {**defaults_of(options.get("model")), **brought, **given})
    kind = kind.variant(filled)
    chosen = with_vector_width(kind, _with_absolute_paths(filled))
    check_cell(chosen)
    check_schedule(chosen)
    kind.check(chosen)
    data = kind.source(chosen, data)
    folder = open_folder(kind, chosen)
    if (folder / "result.json").exists():
        return Run(folder)
    watching = observer or (Silent() if chosen.quiet else Plain())
    with computing(chosen):
        prepared = kind.prepare(chosen, data)
        start = find_start(chosen, kind.words(prepared))
        if start:
            prepared = dataclasses.replace(prepared, notes=(*prepared.notes, start.note))
        begin(folder, kind, chosen, prepared, data)
        for note in prepared.notes:
            watching.note(note)
        model, outcome = _fit(kind, chosen, prepared, start, folder, watching)
        baselines = _fit_baselines(kind, chosen, prepared, folder, watching)
        scores = score(kind, model, chosen, prepared.codec, prepared.test)
    result = {
        "task": kind.name,
        "model": chosen.model,
        "run": str(folder),
        "data": {**prepared.sizes, "hash": prepared.hash},
        "scores": scores,
        "baselines": baselines,
        "parameters": parameter_count(model),
        "epochs": outcome.epochs,
        "seconds": round(outcome.seconds, 3),
        **({} if outcome.found_lr is None else {"lr": outcome.found_lr}),
    }
    write_json(folder / "result.json", result)
    return Run(folder)


def _fit(
    kind: Task[Any, Any, Any],
    options: TrainOptions,
    prepared: Prepared[Any, Any],
    start: Start | None,
    folder: Path,
    observer: Observer,
) -> tuple[Model, Outcome]:
    """Train the model that was asked for, keeping everything in the folder."""
    torch.manual_seed(options.seed)
    model = kind.make(options, prepared.codec)
    if start:
        start.put(model)
    outcome = kind.fit(model, options, prepared, FolderStore(folder), observer)
    if not isinstance(model, torch.nn.Module):
        write_arrays(folder / "model.safetensors", model.state_dict())
    return model, outcome


def _fit_baselines(
    kind: Task[Any, Any, Any], options: TrainOptions, prepared: Prepared[Any, Any], folder: Path, observer: Observer
) -> dict[str, dict[str, float]]:
    """Fit every baseline that was asked for beside the model, keep it, and score it on the same split."""
    wanted = {
        "all": kind.baselines,
        "fast": tuple(name for name in kind.baselines if name not in kind.neural_baselines),
        "none": (),
    }[options.baselines]
    scores = {}
    for name in wanted:
        if name == options.model:
            continue
        observer.baseline(name)
        beside = kind.beside(options, name)
        torch.manual_seed(options.seed)
        model = kind.make(beside, prepared.codec)
        kind.fit(model, beside, prepared, NullStore(), observer)
        write_arrays(folder / "baselines" / f"{name}.safetensors", model.state_dict())
        scores[name] = score(kind, model, beside, prepared.codec, prepared.test)
    return scores


def _bundled(kind: Task[Any, Any, Any], data: object) -> tuple[object, Mapping[str, object]]:
    """Put the file of a bundled set in place of its name, with the options that read it; a user's file goes before."""
    if not isinstance(data, (str, Path)) or os.path.exists(data) or "\n" in str(data):  # a list may be texts
        return data, {}
    sets = {one.name: one for one in bundled_sets()}
    found = sets.get(str(data))
    if found is None:
        raise DataError(f"{data}: no such file, nor a bundled set of that name{nearest(str(data), sets)}")
    if found.task != kind.name:
        raise UsageError(f"data: the bundled set '{found.name}' is for {found.task}, not {kind.name}")
    return found.path, found.options


def _with_absolute_paths(options: TrainOptions) -> TrainOptions:
    """Make the paths of ``--valid`` and ``--test`` mean the same from any folder."""
    valid, test = (_absolute(file) if file else None for file in (options.valid, options.test))
    return dataclasses.replace(options, valid=valid, test=test)


def _absolute(file: str) -> str:
    """The absolute path of a file, or of each of two parallel files with a comma between."""
    parts = [file] if Path(file).exists() else file.split(",")
    return ",".join(str(Path(part).absolute()) for part in parts)
