"""The whole state of a training, in one file that is written whole or not at all.

Weights, best weights, the optimizer's moments, the carried state, the random generator, and where in the data the
training stands: what a later process needs to go on as if it had never stopped, bit for bit.
"""

from __future__ import annotations

import dataclasses
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


@dataclass
class Progress:
    """Where a training stands: everything that changes from update to update and is not a tensor."""

    step: int = 0
    epoch: int = 0
    position: int = 0
    """Updates already done in this epoch."""
    elapsed: float = 0.0
    """Seconds of training, over all processes that took part."""
    best: float | None = None
    """Validation score of the best weights so far."""
    milestone: float | None = None
    """The last score that was an improvement worth the name."""
    stale: int = 0
    """Validations in a row without improvement."""
    falls: int = 0
    """All validations without improvement."""
    finished: bool = False
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    clipped: int = 0
    updates: int = 0
    """Updates since the last validation: what the three sums above run over."""
    rows: list[dict[str, float]] = field(default_factory=list)
    """One row per validation so far."""


@dataclass
class Checkpoint:
    """A training, stopped between two updates."""

    standing: Progress
    weights: State
    best: State
    optimizer: dict[str, Any]
    carry: Carry
    generator: torch.Tensor


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to ``path``."""
    moments = {
        f"optimizer.{index}.{name}": value
        for index, entry in checkpoint.optimizer["state"].items()
        for name, value in entry.items()
        if isinstance(value, torch.Tensor)
    }
    arrays = {
        **{f"weights.{name}": value for name, value in checkpoint.weights.items()},
        **{f"best.{name}": value for name, value in checkpoint.best.items()},
        **{f"carry.{index}": value for index, value in enumerate(checkpoint.carry)},
        **moments,
        "generator": checkpoint.generator,
    }
    write_arrays(path, arrays, {"standing": json.dumps(dataclasses.asdict(checkpoint.standing))})


def read_checkpoint(path: Path, groups: list[dict[str, Any]]) -> Checkpoint:
    """Read the checkpoint at ``path``; ``groups`` are the parameter groups of the optimizer that goes on.

    Raises ``RunError`` when the file is damaged.
    """
    arrays, note = read_arrays_and_note(path)
    try:
        standing = Progress(**json.loads(note["standing"]))
        generator = torch.from_numpy(arrays.pop("generator"))
        parts: dict[str, State] = {"weights": {}, "best": {}, "carry": {}, "optimizer": {}}
        for name, array in arrays.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = torch.from_numpy(np.array(array))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error!r})") from None
    state: dict[int, State] = {}
    for name, value in parts["optimizer"].items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    carry = tuple(parts["carry"][str(index)] for index in range(len(parts["carry"])))
    return Checkpoint(
        standing, parts["weights"], parts["best"], {"state": state, "param_groups": groups}, carry, generator
    )
