"""``update``: a trained model goes on with new data.

The weights start where the run's best ones are, the optimizer where its last checkpoint is; vocabulary and scalers
stay. Everything is written beside the run first and put in its place at the end, so that a crash, Ctrl-C or a loss
that is no longer finite leaves the run as it was.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from seriatim.errors import DataError, Interrupted, UsageError
from seriatim.learning.checkpoint import Checkpoint, Progress, State, read_checkpoint
from seriatim.learning.checkpoint_store import CheckpointStore, FolderStore
from seriatim.learning.loop import Outcome
from seriatim.learning.observer import Observer, Plain, Silent
from seriatim.learning.optimization import check_schedule
from seriatim.run.verbs import Run, computing, score
from seriatim.storage import is_part, read_json, write_json
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.options.update import UpdateOptions
from seriatim.tasks.task import Prepared

Scores = dict[str, float]
FILES = ("checkpoint/state.safetensors", "metrics.jsonl", "config.json", "result.json", "model.safetensors")
"""What an update changes."""


@final
class Warm(CheckpointStore):
    """Keeps everything in a folder, and begins with the weights and the averages of an earlier training."""

    def __init__(self, folder: Path, weights: State, earlier: Path) -> None:
        self._folder, self._weights, self._earlier = FolderStore(folder), weights, earlier

    def save_best(self, weights: State) -> None:
        self._folder.save_best(weights)

    def save_rows(self, rows: Sequence[dict[str, float]]) -> None:
        self._folder.save_rows(rows)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._folder.save_checkpoint(checkpoint)

    def load_checkpoint(self, optimizer: torch.optim.Optimizer) -> Checkpoint | None:
        averages = optimizer.state_dict()
        if self._earlier.exists():
            averages = read_checkpoint(self._earlier, averages["param_groups"]).optimizer
        return Checkpoint(Progress(), self._weights, {}, averages, (), torch.get_rng_state())


@dataclass(frozen=True)
class Sides:
    """The scores of one model on the held-out part of the new data, and on the test part of the old."""

    new: Scores
    old: Scores | None
    """None where the old data are gone."""


def update(run: Run, data: object, options: UpdateOptions, observer: Observer | None = None) -> dict[str, Any]:
    """Train the model of ``run`` on ``data``, and put the result in its folder, or in ``options.out``.

    Returns ``{"task", "model", "run", "data", "before", "after", "baselines", "epochs", "seconds"}``: ``before`` and
    ``after`` hold the scores on ``new``, the test part of the new data, and on ``old``, that of the data that the run
    was trained on (None where they are gone). Raises as ``train`` does.
    """
    old_result = run.result
    chosen = _options(run, options)
    check_schedule(chosen)
    out = _free(options.out)
    watching = observer or (Silent() if options.quiet else Plain())
    beside = (out or run.path).absolute()
    part = beside.with_name(f".{beside.name}.update.part")
    with computing(chosen):
        model = run.network
        if not isinstance(model, torch.nn.Module):
            raise UsageError(f"update: for networks; {run.model} is fitted in one go: train it again on all the data")
        fresh = run.kind.prepare(_for_new_data(run.options), data, run.codec)
        old, gone = _old(run)
        if gone:
            watching.note(f"no scores on the old data: {gone}")
        for note in fresh.notes:
            watching.note(note)
        before = _sides(run, model, fresh, old)
        training = fresh
        if options.replay:
            if old is None:
                raise DataError(f"replay: {gone}")
            mixed = run.kind.replayed(fresh.train, old.train, options.replay, chosen.seed)
            training = dataclasses.replace(fresh, train=mixed)
        try:
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(run.path, part, ignore=_parts)
            outcome = _fit(run, chosen, training, part, watching)
            after = _sides(run, model, fresh, old)
            result = _result(run, old_result, fresh, after, outcome)
            config = dict(read_json(run.path / "config.json"))
            config["notes"] = [*config["notes"], _told(options, data, fresh, outcome)]
            write_json(part / "config.json", config)
            write_json(part / "result.json", result)
            _put(part, run.path, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return {
        "task": run.task,
        "model": run.model,
        "run": str(out or run.path),
        "data": {**fresh.sizes, "hash": fresh.hash},
        "before": dataclasses.asdict(before),
        "after": dataclasses.asdict(after),
        "baselines": run.baseline_scores(fresh.test, run.options),
        "epochs": outcome.epochs,
        "seconds": round(outcome.seconds, 3),
    }


def _options(run: Run, options: UpdateOptions) -> TrainOptions:
    """The options of the training, with those that were given for the update."""
    given = {name: getattr(options, name) for name in ("epochs", "time_limit", "lr", "threads")}
    found = {"lr": run.result["lr"]} if "lr" in run.result else {}  # --lr find does not look again
    anew = found | {name: value for name, value in given.items() if value is not None}
    if "time_limit" in anew and "epochs" not in anew and run.options.schedule not in ("cosine", "linear"):
        anew["epochs"] = None
    return dataclasses.replace(run.options, quiet=options.quiet, **anew)


def _for_new_data(options: TrainOptions) -> TrainOptions:
    """The options by which new data are read and split: files and row counts were those of the old."""
    fixed: dict[str, Any] = {"valid": None, "test": None, "split": ()}
    there = {field.name for field in dataclasses.fields(options)}
    return dataclasses.replace(options, **{name: value for name, value in fixed.items() if name in there})


def _old(run: Run) -> tuple[Prepared[Any, Any] | None, str]:
    """The data that the run was trained on, or why they are not there."""
    try:
        return run.prepare_again(), ""
    except DataError as error:
        return None, str(error)


def _sides(run: Run, model: Any, fresh: Prepared[Any, Any], old: Prepared[Any, Any] | None) -> Sides:
    """Score ``model`` on both sides."""
    new, before = (score(run.kind, model, run.options, run.codec, one.test) if one else None for one in (fresh, old))
    assert new is not None
    return Sides(new, before)


def _fit(run: Run, options: TrainOptions, data: Prepared[Any, Any], folder: Path, observer: Observer) -> Outcome:
    """Train the run's network, in place; what must not be lost goes to ``folder``."""
    model: Any = run.network
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    keeper = Warm(folder, weights, run.path / "checkpoint" / "state.safetensors")
    try:
        return run.kind.fit(model, options, data, keeper, observer)
    except Interrupted:
        raise Interrupted(f"interrupted: {run.path} is as it was before the update") from None
    finally:
        model.eval()


def _result(
    run: Run, before: dict[str, Any], fresh: Prepared[Any, Any], after: Sides, outcome: Outcome
) -> dict[str, Any]:
    """What the run folder tells of its scores: on the old test part, as before; on the new where that is gone."""
    seen = {"epochs": before["epochs"] + outcome.epochs, "seconds": round(before["seconds"] + outcome.seconds, 3)}
    if after.old is not None:
        return {**before, **seen, "scores": after.old}
    data = {**fresh.sizes, "hash": fresh.hash}
    return {
        **before,
        **seen,
        "data": data,
        "scores": after.new,
        "baselines": run.baseline_scores(fresh.test, run.options),
    }


def _told(options: UpdateOptions, data: object, fresh: Prepared[Any, Any], outcome: Outcome) -> str:
    """The note that an update leaves in the config."""
    items = data if isinstance(data, (list, tuple)) else [data]
    names = ", ".join(str(one) for one in items) if all(isinstance(one, (str, Path)) for one in items) else "memory"
    replay = f", {options.replay:g} of old data beside" if options.replay else ""
    return f"updated on {names} ({fresh.hash}): {fresh.sizes['train']:,} units in {outcome.epochs} epochs{replay}"


def _free(out: str | None) -> Path | None:
    """The folder to write to, where one was given. Raises ``UsageError`` unless it is free."""
    if out is None:
        return None
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(not is_part(file) for file in folder.iterdir())):
        raise UsageError(f"out: '{folder}' is not empty; give another folder")
    return folder


def _parts(folder: str, names: list[str]) -> list[str]:
    """What a crash left of files that were being written is not taken along."""
    return [name for name in names if is_part(Path(name))]


def _put(part: Path, run: Path, out: Path | None) -> None:
    """Put what was written in its place: a whole folder at once, or each changed file over the old one."""
    if out is not None:
        if out.exists():
            shutil.rmtree(out)
        os.rename(part, out)
        return
    for name in FILES:
        if (part / name).exists():
            (run / name).parent.mkdir(exist_ok=True)
            os.replace(part / name, run / name)
