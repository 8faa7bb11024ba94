"""An opened run folder: its options, codec, models and scores, each read from disk when it is first needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seriatim.errors import DataError, RunError
from seriatim.run.folder import OPTIONAL_RESULT, RESULT, check_keys, options_of, read_config, task_of
from seriatim.storage import read_arrays, read_json
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.task import Model, PreparedData, Task

Result = dict[str, Any]


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
        """The fitted model: a ``torch.nn.Module``, or a statistical model with NumPy arrays."""
        return self.restore(self.options, self.path / "model.safetensors")

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
        """Build the model that ``options`` describe, with the weights in ``file``."""
        arrays = read_arrays(file)
        try:
            model: Model = self.task.make(options, self.codec)
            is_network = isinstance(model, torch.nn.Module)
            model.load_state_dict(
                {name: torch.from_numpy(array) for name, array in arrays.items()} if is_network else arrays
            )
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(f"{file}: does not fit the run's options ({str(error).splitlines()[0]})") from None
        return model

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

    def prepare_again(self) -> PreparedData[Any, Any]:
        """Read the training data again. Raises ``DataError`` if they are gone or have changed."""
        source = self.config["data"]["source"]
        if source is None:
            raise DataError("evaluate: the run was trained on data in memory; give the data to score")
        data: PreparedData[Any, Any] = self.task.prepare(self.options, source if len(source) > 1 else source[0])
        if data.hash != self.config["data"]["hash"]:
            raise DataError(f"{', '.join(source)}: changed since the run was trained; give the data to score")
        return data


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
    task: Task[Any, Any, Any], model: Model, options: TrainOptions, codec: object, split: object
) -> dict[str, float]:
    """Score a model, and leave out scores that are not finite (of a diverging forecast), which JSON cannot hold."""
    with np.errstate(over="ignore", invalid="ignore"):
        scores = task.score(model, options, codec, split)
    return {name: score for name, score in scores.items() if math.isfinite(score)}
