"""An opened run folder: its options, codec, models and scores, each read from disk when it is first needed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seriatim.errors import DataError, RunError, UsageError, nearest
from seriatim.models.ensemble import make_ensemble
from seriatim.options import fill
from seriatim.run.folder import OPTIONAL_RESULT, RESULT, check_keys, network_folder, options_of, read_config, task_of
from seriatim.storage import read_arrays, read_json
from seriatim.tasks.common.blend import Blend, Member
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.options.blending import BLEND, NETWORK
from seriatim.tasks.task import Model, PreparedData, Task

Result = dict[str, Any]


WEIGHTS = "model.safetensors"


class Opened:
    """A run folder that was read and checked. It does not notice when the folder changes later."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = read_config(path)
        task = task_of(path, self.config)
        self.options = options_of(path, task, self.config)
        self.task: Task[Any, Any, Any] = task.variant(self.options)

    @cached_property
    def result(self) -> Result:
        """The content of ``result.json``. Raises ``RunError`` for an unfinished run."""
        file = self.path / "result.json"
        if not file.exists():
            raise RunError(f"{self.path}: this run is not finished; go on with --resume --out {self.path}")
        result = check_keys(file, read_json(file), RESULT, OPTIONAL_RESULT)
        return {**result, "run": str(self.path)}  # the folder may have been moved since

    @cached_property
    def network(self) -> Model:
        """The fitted model: a ``torch.nn.Module``, or a statistical model with NumPy arrays.

        With ``--ensemble`` it is the average of all networks; of those that exist, if the training is unfinished.
        """
        folders = [network_folder(self.path, number) for number in range(self.options.ensemble)]
        if (self.path / "result.json").exists():
            folders = folders[: len(self.result.get("ensemble", folders))]
        else:
            folders = [folder for folder in folders if folder == self.path or (folder / WEIGHTS).exists()]
        return joined([self.restore(self.options, folder / WEIGHTS) for folder in folders])

    @cached_property
    def codec(self) -> Any:
        """The codec of the run, which turns raw values into arrays and back."""
        for name in self.task.codec_files:
            file = self.path / name
            if file.exists():
                try:
                    return self.task.codec_from_json(read_json(file))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise RunError(f"{file}: damaged ({error!r})") from None
        raise RunError(f"{self.path}: no {' or '.join(self.task.codec_files)}; this is not a complete run folder")

    def restore(self, options: TrainOptions, file: Path) -> Model:
        """Build the model that ``options`` describe, with the weights in ``file``. A network is in evaluation mode."""
        arrays = read_arrays(file)
        try:
            model: Model = self.task.make(options, self.codec)
            is_network = isinstance(model, torch.nn.Module)
            model.load_state_dict(
                {name: torch.from_numpy(array) for name, array in arrays.items()} if is_network else arrays
            )
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(f"{file}: does not fit the run's options ({str(error).splitlines()[0]})") from None
        return model.eval() if isinstance(model, torch.nn.Module) else model

    def score(self, split: object, options: TrainOptions) -> dict[str, float]:
        """Score the network on an encoded split."""
        return finite_scores(self.task, self.network, options, self.codec, split)

    def baseline_scores(self, split: object, options: TrainOptions) -> dict[str, dict[str, float]]:
        """Score each stored baseline on an encoded split."""
        folder = self.path / "baselines"
        stored = {file.stem for file in folder.glob("*.safetensors")}
        scores = {}
        for name in self.task.baselines:
            if name in stored:
                baseline_options = self.task.baseline_options(options, name)
                model = self.restore(baseline_options, folder / f"{name}.safetensors")
                scores[name] = finite_scores(self.task, model, baseline_options, self.codec, split)
        return scores

    def baselines(self) -> dict[str, Member]:
        """Return the stored baselines."""
        stored = {file.stem for file in (self.path / "baselines").glob("*.safetensors")}
        return {name: self._member(name) for name in self.task.baselines if name in stored}

    @cached_property
    def blend(self) -> Blend:
        """The blend of the network and baselines. Raises ``UsageError`` if the run has none."""
        file = self.path / "blend.json"
        if not file.exists():
            raise UsageError(f"use: this {self.options.model} run has no blend")
        stored = read_json(file)
        try:
            return Blend.of(stored, {name: self._member(name) for name in stored["weights"]})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{file}: damaged ({error!r})") from None

    @property
    def best(self) -> str:
        """The model that validation chose: ``blend``, the network or a baseline. The network in runs without choice."""
        best: str = self.result.get("best", self.options.model)
        return best

    def member_in_use(self, use: str | None) -> Member:
        """Return the model ``use``: ``network``, ``blend`` or a baseline; by default the best one by validation.

        Raises ``UsageError`` for a model that the run does not have.
        """
        name = use or (self.best if (self.path / "result.json").exists() else NETWORK)
        return Member(self.blend, self.options) if name == BLEND else self._member(name)

    def _member(self, name: str) -> Member:
        if name in (NETWORK, self.options.model):
            return Member(self.network, self.options)
        file = self.path / "baselines" / f"{name}.safetensors"
        if name not in self.task.baselines or not file.exists():
            stored = [other.stem for other in sorted((self.path / "baselines").glob("*.safetensors"))]
            known = [NETWORK, *([BLEND] if (self.path / "blend.json").exists() else []), *stored]
            raise UsageError(f"use: no model '{name}' in this run, which has {', '.join(known)}{nearest(name, known)}")
        options = self.task.baseline_options(self.options, name)
        return Member(self.restore(options, file), options)

    def options_with(self, decoding_options: Mapping[str, object]) -> TrainOptions:
        """Return the run's options with other ``decoding_options``. Raises ``UsageError`` for other options."""
        allowed = self.task.decoding_options
        for name in decoding_options:
            if name not in allowed:
                hint = f"; it takes {', '.join(allowed)}" if allowed else ""
                raise UsageError(f"{name}: cannot be changed for a {self.task.name} run{hint}")
        options: TrainOptions = fill(self.task.options, {**dataclasses.asdict(self.options), **decoding_options})
        self.task.check(options)
        return options

    def prepare_again(self) -> PreparedData[Any, Any]:
        """Read the training data again. Raises ``DataError`` if they are gone or have changed."""
        source = self.config["data"]["source"]
        if source is None:
            raise DataError("evaluate: the run was trained on data in memory; give the data to score")
        data: PreparedData[Any, Any] = self.task.prepare(self.options, source if len(source) > 1 else source[0])
        if data.hash != self.config["data"]["hash"]:
            raise DataError(f"{', '.join(source)}: changed since the run was trained; give the data to score")
        return data


def joined(models: Sequence[Model]) -> Model:
    """Return the only model, or the average of several networks."""
    networks = [model for model in models if isinstance(model, torch.nn.Module)]
    return make_ensemble(networks) if len(models) > 1 else models[0]


@contextmanager
def torch_settings(options: TrainOptions) -> Iterator[None]:
    """Set PyTorch's seed and threads as ``options`` say, and restore both at the end."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        try:
            if options.threads:
                torch.set_num_threads(options.threads)
            yield
        finally:
            torch.set_num_threads(threads)


def finite_scores(
    task: Task[Any, Any, Any], model: Model | Blend, options: TrainOptions, codec: object, split: object
) -> dict[str, float]:
    """Score a model, and leave out scores that are not finite (of a diverging forecast), which JSON cannot hold."""
    with np.errstate(over="ignore", invalid="ignore"):
        scores = task.score(model, options, codec, split)
    return {name: score for name, score in scores.items() if math.isfinite(score)}
