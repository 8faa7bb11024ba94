"""The whole state of a training in one file, which is written completely or not at all.

It holds the weights, the best weights, the optimizer's moments, the carry, the state of the random generator, and the
progress of the training. A later process continues from it bit for bit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seriatim.errors import RunError
from seriatim.models.contract import Carry
from seriatim.storage import read_arrays_and_note, write_arrays

State = dict[str, torch.Tensor]

MIN_GAIN = 1e-3
"""A score that is lower than ``last_gain`` by less than this share of it is no clear improvement."""
MIN_SCORE = 0.05
"""In nats or deviations. The share is of at least this much, or a loss on its way to zero would improve for ever."""

NAMES_IN_FILE = {"last_gain": "milestone", "since_gain": "stale", "lr_drops": "falls"}
"""The fields of ``Progress`` that have another name in the file."""
FIELDS_BY_NAME = {name: field for field, name in NAMES_IN_FILE.items()}


@dataclass
class Progress:
    """The counters and scores of a training: everything that changes with each update and is not a tensor."""

    step: int = 0
    """Updates so far."""
    epoch: int = 0
    """Finished epochs."""
    position: int = 0
    """Updates so far in this epoch."""
    elapsed: float = 0.0
    """Seconds of training, in all processes that took part."""
    best: float | None = None
    """Validation score of the best weights so far."""
    last_gain: float | None = None
    """The last validation score that was a clear improvement."""
    since_gain: int = 0
    """Validations since ``last_gain``."""
    lr_drops: int = 0
    """Validations without a clear improvement, in all. The schedule ``plateau`` halves the learning rate at each."""
    total_updates: int | None = None
    """Updates at which a schedule that follows the time limit ends. They are estimated once, early in the training."""
    finished: bool = False
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    clipped: int = 0
    updates: int = 0
    """Updates since the last validation. The three sums above cover these."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """One row of scores for each validation."""

    def record_score(self, score: float) -> None:
        """Count a validation with ``score``, as a clear improvement or as none."""
        if self.last_gain is None or self.last_gain - score > MIN_GAIN * max(abs(self.last_gain), MIN_SCORE):
            self.last_gain, self.since_gain = score, 0
        else:
            self.since_gain += 1
            self.lr_drops += 1


@dataclass
class Checkpoint:
    """A training between two updates."""

    progress: Progress
    weights: State
    best: State
    optimizer: dict[str, Any]
    carry: Carry
    generator: torch.Tensor
    other_carries: tuple[Carry, ...] = ()
    other_generators: tuple[torch.Tensor, ...] = ()
    """The carries and the states of the random generators of the other processes, in the order of their ranks."""
    average: State = field(default_factory=dict)
    """The moving average of the weights, if there is one."""


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to ``path``."""
    moments = {
        f"optimizer.{index}.{name}": value
        for index, averages in checkpoint.optimizer["state"].items()
        for name, value in averages.items()
        if isinstance(value, torch.Tensor)
    }
    arrays = {
        **{f"weights.{name}": value for name, value in checkpoint.weights.items()},
        **{f"best.{name}": value for name, value in checkpoint.best.items()},
        **{f"average.{name}": value for name, value in checkpoint.average.items()},
        **{f"carry.{index}": value for index, value in enumerate(checkpoint.carry)},
        **moments,
        "generator": checkpoint.generator,
        **{f"generators.{index}": state for index, state in enumerate(checkpoint.other_generators)},
        **{
            f"carries.{process}.{index}": value
            for process, carry in enumerate(checkpoint.other_carries)
            for index, value in enumerate(carry)
        },
    }
    progress = {NAMES_IN_FILE.get(name, name): value for name, value in vars(checkpoint.progress).items()}
    write_arrays(path, arrays, {"standing": json.dumps(progress)})


def read_checkpoint(path: Path, groups: list[dict[str, Any]]) -> Checkpoint:
    """Read the checkpoint at ``path``; ``groups`` are the parameter groups of the optimizer that will continue.

    Raises ``RunError`` if the file is damaged.
    """
    arrays, note = read_arrays_and_note(path)
    try:
        stored: dict[str, Any] = dict(json.loads(note["standing"]))
        progress = Progress(**{FIELDS_BY_NAME.get(name, name): value for name, value in stored.items()})
        generator = torch.from_numpy(arrays.pop("generator"))
        names = ("weights", "best", "average", "carry", "optimizer", "generators", "carries")
        parts: dict[str, State] = {name: {} for name in names}
        for name, array in arrays.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = torch.from_numpy(np.array(array))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error!r})") from None
    state: dict[int, State] = {}
    for name, value in parts["optimizer"].items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    others = _in_order(parts["generators"])
    carries = [
        _in_order({name.removeprefix(f"{process}."): part for name, part in parts["carries"].items()
                   if name.startswith(f"{process}.")})
        for process in range(len(others))
    ]  # fmt: skip
    return Checkpoint(
        progress, parts["weights"], parts["best"], {"state": state, "param_groups": groups}, _in_order(parts["carry"]),
        generator, tuple(carries), others, parts["average"],
    )  # fmt: skip


def _in_order(parts: State) -> tuple[torch.Tensor, ...]:
    """The tensors named 0, 1, 2, …"""
    return tuple(parts[str(index)] for index in range(len(parts)))
