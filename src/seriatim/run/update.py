"""``update``: continue the training of a model with new data.

The weights are the run's best ones, the optimizer's state comes from its last checkpoint, and the codec does not
change. Everything is written to a temporary folder first and moved at the end, so that a crash, Ctrl-C or a loss that
is not finite leaves the run as it was.
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
from seriatim.learning.observer import Observer, Plain, Silent
from seriatim.learning.plan import OnValidation, Outcome
from seriatim.models.ensemble import networks_of
from seriatim.run.blending import FILE as BLEND_FILE
from seriatim.run.blending import blend_scores, choose_again
from seriatim.run.claim import claim
from seriatim.run.fitting import fit
from seriatim.run.folder import network_folder
from seriatim.run.networks import fit_each, member_scores, with_scores
from seriatim.run.opened import Opened, Result, torch_settings
from seriatim.storage import is_part, read_json, write_json
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.options.update import UpdateOptions
from seriatim.tasks.task import PreparedData

Scores = dict[str, float]
NETWORK_FILES = ("checkpoint/state.safetensors", "metrics.jsonl", "model.safetensors")
FILES = (
    "checkpoint/state.safetensors",
    "metrics.jsonl",
    "config.json",
    "blend.json",
    "result.json",
    "model.safetensors",
)
"""The files that an update changes, in the order in which they are replaced; those of further networks come first."""


@final
class WarmStartStore(CheckpointStore):
    """A store in a folder, whose first checkpoint has the weights and the optimizer state of an earlier training."""

    def __init__(self, folder: Path, weights: State, earlier_checkpoint: Path) -> None:
        self._folder, self._weights, self._earlier_checkpoint = FolderStore(folder), weights, earlier_checkpoint

    def save_best(self, weights: State) -> None:
        self._folder.save_best(weights)

    def save_rows(self, rows: Sequence[dict[str, float]]) -> None:
        self._folder.save_rows(rows)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._folder.save_checkpoint(checkpoint)

    def load_checkpoint(self, optimizer: torch.optim.Optimizer) -> Checkpoint | None:
        state = optimizer.state_dict()
        if self._earlier_checkpoint.exists():
            state = read_checkpoint(self._earlier_checkpoint, state["param_groups"]).optimizer
        return Checkpoint(Progress(), self._weights, {}, state, (), torch.get_rng_state())


@dataclass(frozen=True)
class OldAndNew:
    """The scores of one model on the test parts of the new and of the old data."""

    new: Scores
    old: Scores | None
    """None if the old data are gone."""


def update(run: Opened, data: object, options: UpdateOptions, observer: Observer | None = None) -> Result:
    """Train the model of ``run`` on ``data``, and write the result to its folder, or to ``options.out``.

    Returns ``{"task", "model", "run", "data", "before", "after", "baselines", "blend", "epochs", "seconds"}``.
    ``before`` and ``after`` have the network's scores on the test part of the ``new`` data and of the ``old`` data
    (None if these are gone). ``blend`` has the parts of the run's blend and its scores on the new data, or is None.
    Raises as ``train`` does.
    """
    old_result = run.result
    settings = _settings(run, options)
    out = _empty_folder(options.out)
    observer = observer or (Silent() if options.quiet else Plain())
    target = (out or run.path).absolute()
    temporary = target.with_name(f".{target.name}.update.part")
    with claim(target), torch_settings(settings):
        model = run.network
        if not isinstance(model, torch.nn.Module):
            raise UsageError(
                f"update: for networks; {run.options.model} is fitted in one go: train it again on all the data"
            )
        new_data = run.task.prepare(_options_for_new_data(run.options), data, run.codec)
        old_data, missing = _old_data(run)
        if missing:
            observer.note(f"no scores on the old data: {missing}")
        for note in new_data.notes:
            observer.note(note)
        scores_before = _score_both(run, new_data, old_data)
        training_data = new_data
        if options.replay:
            if old_data is None:
                raise DataError(f"replay: {missing}")
            mixed = run.task.with_replay(new_data.train, old_data.train, options.replay, settings.seed)
            training_data = dataclasses.replace(new_data, train=mixed)
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(run.path, temporary, ignore=_unfinished_files)
            outcomes = _fit(run, settings, training_data, temporary, observer)
            scores_after = _score_both(run, new_data, old_data)
            config = dict(read_json(run.path / "config.json"))
            config["notes"] = [*config["notes"], _note(options, data, new_data, outcomes)]
            write_json(temporary / "config.json", config)
            scored_part = new_data.test if old_data is None else old_data.test
            blending = choose_again(run, new_data, scored_part, temporary)
            new_result = {
                **_result(run, old_result, new_data, scores_after, outcomes),
                **_member_scores(run, outcomes, scored_part),
                **blending,
            }
            write_json(temporary / "result.json", new_result)
            _move(temporary, run.path, out, len(outcomes))
            changed = Opened(out or run.path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return {
        "task": run.task.name,
        "model": run.options.model,
        "run": str(out or run.path),
        "data": {**new_data.sizes, "hash": new_data.hash},
        "before": dataclasses.asdict(scores_before),
        "after": dataclasses.asdict(scores_after),
        "baselines": run.baseline_scores(new_data.test, run.options),
        "blend": blend_scores(changed, new_data.test),
        "epochs": _epochs(outcomes),
        "seconds": round(_seconds(outcomes), 3),
    }


def _settings(run: Opened, options: UpdateOptions) -> TrainOptions:
    """Return the options of the training, changed by the options of the update."""
    values = {name: getattr(options, name) for name in ("epochs", "time_limit", "lr", "threads")}
    found_lr = {"lr": run.result["lr"]} if "lr" in run.result else {}  # --lr find does not search again
    changes = found_lr | {name: value for name, value in values.items() if value is not None}
    if "time_limit" in changes and "epochs" not in changes:
        changes["epochs"] = None
    return dataclasses.replace(run.options, quiet=options.quiet, **changes)


def _options_for_new_data(options: TrainOptions) -> TrainOptions:
    """Return the options for reading new data, without the files and row counts of the old data."""
    defaults: dict[str, Any] = {"valid": None, "test": None, "split": ()}
    names = {field.name for field in dataclasses.fields(options)}
    return dataclasses.replace(options, **{name: value for name, value in defaults.items() if name in names})


def _old_data(run: Opened) -> tuple[PreparedData[Any, Any] | None, str]:
    """Return the data of the training, or None and the reason why they are missing."""
    try:
        return run.prepare_again(), ""
    except DataError as error:
        return None, str(error)


def _score_both(run: Opened, new_data: PreparedData[Any, Any], old_data: PreparedData[Any, Any] | None) -> OldAndNew:
    """Score the network on the test parts of the new and of the old data."""
    new = run.score(new_data.test, run.options)
    return OldAndNew(new, run.score(old_data.test, run.options) if old_data else None)


def _fit(
    run: Opened, options: TrainOptions, data: PreparedData[Any, Any], folder: Path, observer: Observer
) -> list[Outcome]:
    """Train the run's networks in place. Their checkpoints and best weights go to ``folder``."""
    models = networks_of(run.network)

    def fit_one(number: int, own: TrainOptions, watch: OnValidation | None) -> Outcome:
        model = models[number]
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        earlier = network_folder(run.path, number) / "checkpoint" / "state.safetensors"
        store = WarmStartStore(network_folder(folder, number), weights, earlier)
        return fit(run.task, model, own, data, store, observer, watch)

    try:
        return fit_each(len(models), options, fit_one, observer)
    except Interrupted:
        raise Interrupted(f"interrupted: {run.path} is as it was before the update") from None
    finally:
        for model in models:
            model.eval()


def _member_scores(run: Opened, outcomes: list[Outcome], part: object) -> Result:
    """Return the key ``ensemble`` of a result after an update, or nothing for a run of one network."""
    if "ensemble" not in run.result:
        return {}
    scores = member_scores(run.task, run.network, run.options, run.codec, part)
    entries = [
        {
            **entry,
            "epochs": entry["epochs"] + outcome.epochs,
            "seconds": round(entry["seconds"] + outcome.seconds, 3),
        }
        for entry, outcome in zip(run.result["ensemble"], outcomes, strict=True)
    ]
    return {"ensemble": with_scores(entries, scores)}


def _epochs(outcomes: list[Outcome]) -> int:
    return max(outcome.epochs for outcome in outcomes)


def _seconds(outcomes: list[Outcome]) -> float:
    return sum(outcome.seconds for outcome in outcomes)


def _result(
    run: Opened, old_result: Result, new_data: PreparedData[Any, Any], scores_after: OldAndNew, outcomes: list[Outcome]
) -> Result:
    """Return the new content of ``result.json``, with scores on the old data, or on the new data if these are gone."""
    result = {
        **old_result,
        "epochs": old_result["epochs"] + _epochs(outcomes),
        "seconds": round(old_result["seconds"] + _seconds(outcomes), 3),
    }
    if scores_after.old is not None:
        return {**result, "scores": scores_after.old}
    return {
        **result,
        "data": {**new_data.sizes, "hash": new_data.hash},
        "scores": scores_after.new,
        "baselines": run.baseline_scores(new_data.test, run.options),
    }


def _note(options: UpdateOptions, data: object, new_data: PreparedData[Any, Any], outcomes: list[Outcome]) -> str:
    """Return the note about the update for the config."""
    items = data if isinstance(data, (list, tuple)) else [data]
    are_paths = all(isinstance(item, (str, Path)) for item in items)
    source = ", ".join(str(item) for item in items) if are_paths else "memory"
    replay = f", with {options.replay:g} times as much old data" if options.replay else ""
    units = f"{new_data.sizes['train']:,} units in {_epochs(outcomes)} epochs"
    return f"updated on {source} ({new_data.hash}): {units}{replay}"


def _empty_folder(out: str | None) -> Path | None:
    """Return the folder ``out``, if it was passed. Raises ``UsageError`` if it is not empty."""
    if out is None:
        return None
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(not is_part(file) for file in folder.iterdir())):
        raise UsageError(f"out: '{folder}' is not empty; give another folder")
    return folder


def _unfinished_files(folder: str, names: list[str]) -> list[str]:
    """Return the files of ``names`` that a crash left incomplete; they are not copied."""
    return [name for name in names if is_part(Path(name))]


def _move(temporary: Path, run: Path, out: Path | None, networks: int) -> None:
    """Move the whole temporary folder to ``out``, or each changed file of a run of ``networks`` to ``run``."""
    if out is not None:
        if out.exists():
            shutil.rmtree(out)
        os.rename(temporary, out)
        return
    members = [network_folder(Path(), number) for number in range(1, networks)]
    for name in (*(str(member / name) for member in members for name in NETWORK_FILES), *FILES):
        if (temporary / name).exists():
            (run / name).parent.mkdir(exist_ok=True)
            os.replace(temporary / name, run / name)
        elif name == BLEND_FILE:
            (run / name).unlink(missing_ok=True)
