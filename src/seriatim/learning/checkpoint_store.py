"""Stores for what a training must not lose: the best weights, the rows of scores and the last checkpoint."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import final

import torch

from seriatim.learning.checkpoint import Checkpoint, State, read_checkpoint, write_checkpoint
from seriatim.storage import write_arrays, write_bytes


class CheckpointStore(ABC):
    """A place where a training saves its results while it runs."""

    @abstractmethod
    def save_best(self, weights: State) -> None:
        """Save the best weights so far."""

    @abstractmethod
    def save_rows(self, rows: Sequence[dict[str, float]]) -> None:
        """Save the rows of all validations so far."""

    @abstractmethod
    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Save the whole state."""

    @abstractmethod
    def load_checkpoint(self, optimizer: torch.optim.Optimizer) -> Checkpoint | None:
        """Return the last checkpoint, from which ``optimizer`` is to continue; None if there is none."""


@final
class NullStore(CheckpointStore):
    """A store that saves nothing: for baselines, which are quick to train again."""

    def save_best(self, weights: State) -> None:
        pass

    def save_rows(self, rows: Sequence[dict[str, float]]) -> None:
        pass

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        pass

    def load_checkpoint(self, optimizer: torch.optim.Optimizer) -> Checkpoint | None:
        return None


@final
class FolderStore(CheckpointStore):
    """A store that saves everything in a run folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checkpoint_file = folder / "checkpoint" / "state.safetensors"

    def save_best(self, weights: State) -> None:
        write_arrays(self._folder / "model.safetensors", weights)

    def save_rows(self, rows: Sequence[dict[str, float]]) -> None:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        write_bytes(self._folder / "metrics.jsonl", lines.encode())

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        write_checkpoint(self._checkpoint_file, checkpoint)

    def load_checkpoint(self, optimizer: torch.optim.Optimizer) -> Checkpoint | None:
        """Return the last checkpoint, and restore the files of best weights and rows that belong to it."""
        if not self._checkpoint_file.exists():
            return None
        checkpoint = read_checkpoint(self._checkpoint_file, optimizer.state_dict()["param_groups"])
        if checkpoint.best:
            self.save_best(checkpoint.best)
        self.save_rows(checkpoint.progress.rows)
        return checkpoint
