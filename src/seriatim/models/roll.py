"""Several notes a step, each on or off by a chance of its own given all before (Boulanger-Lewandowski 2012)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.bodies import build_body
from seriatim.models.contract import Carry, Trainable
from seriatim.models.options import ModelOptions

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RollBatch:
    """B pieces of K notes, silent behind their ends."""

    notes: Tensor
    """[T, B, K] float32 of 0 and 1."""
    lengths: Tensor
    """[B] int64."""

    @property
    def units(self) -> int:
        return int(self.lengths.sum())


@final
class RollModel(Trainable[RollBatch]):
    """Notes → body → affine → a logit per note of the next step. The first step is predicted from silence."""

    def __init__(self, options: ModelOptions, notes: int) -> None:
        super().__init__()
        self.stack = build_body(options, notes, causal=True)
        self.output = nn.Linear(self.stack.output_size, notes)

    def forward(self, before: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
        """Map each step's predecessor ``[T, B, K]`` to logits of the step itself, and the carry after them."""
        states, carry = self.stack(before, carry, lengths)
        return self.output(states), carry

    def losses(self, batch: RollBatch) -> Tensor:
        """Return the negative log-probability of each step in nats, summed over notes: [T, B], 0 behind an end."""
        before = functional.pad(batch.notes[:-1], (0, 0, 0, 0, 1, 0))
        logits, _ = self(before, (), batch.lengths)
        entropy = functional.binary_cross_entropy_with_logits(logits.float(), batch.notes, reduction="none")
        beyond = torch.arange(len(entropy))[:, None] >= batch.lengths
        return entropy.sum(-1).masked_fill(beyond, 0.0)

    def loss(self, batch: RollBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean negative log-probability per step in nats. Pieces are whole: nothing is carried on."""
        return self.losses(batch).sum() / batch.lengths.sum(), ()


class NoteChances(ABC):
    """A statistical model of rolls: the chance of each note, given the step before."""

    def __init__(self, notes: int) -> None:
        self.chances = np.full((2, notes), 0.5)
        """[2, K]: of a note that was off, and of one that was on, at the step before."""

    @abstractmethod
    def fit(self, pieces: Sequence[Array]) -> None:
        """Count ``pieces`` [T, K]; each count starts at a half (Krichevsky & Trofimov 1981)."""

    @final
    def log_probability(self, piece: Array) -> float:
        """Return the joint log-probability of a piece [T, K] in nats, the first step after silence."""
        chances = self.chances[_before(piece), np.arange(piece.shape[1])]
        return float(np.log(np.where(piece > 0, chances, 1 - chances)).sum())

    @final
    def step(self, notes: Array) -> Array:
        """Return the chance of each note [K] after a step of ``notes`` [K]."""
        chances: Array = self.chances[notes.astype(np.int64), np.arange(len(notes))]
        return chances

    @final
    def state_dict(self) -> dict[str, Array]:
        return {"chances": self.chances}

    @final
    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take the state back; raises ``ValueError`` when it is of other notes."""
        if state["chances"].shape != self.chances.shape:
            raise ValueError(f"chances: got {state['chances'].shape}, wanted {self.chances.shape}")
        self.chances = state["chances"]

    @property
    def parameters_count(self) -> int:
        return self.chances.size


@final
class NoteFrequencies(NoteChances):
    """Each note by how often it sounds: the order of steps does not count."""

    def fit(self, pieces: Sequence[Array]) -> None:
        notes = np.concatenate(list(pieces))
        self.chances = np.tile((notes.sum(0) + 0.5) / (len(notes) + 1.0), (2, 1))


@final
class NoteTransitions(NoteChances):
    """Each note by whether it sounded a step before: a first-order Markov chain per note."""

    def fit(self, pieces: Sequence[Array]) -> None:
        notes, before = np.concatenate(list(pieces)), np.concatenate([_before(piece) for piece in pieces])
        counts = np.stack([(before == state).sum(0) for state in (0, 1)])
        sounding = np.stack([(notes * (before == state)).sum(0) for state in (0, 1)])
        self.chances = (sounding + 0.5) / (counts + 1.0)


def _before(piece: Array) -> Array:
    """The step before each step of a piece [T, K], silence before the first."""
    return np.concatenate([np.zeros((1, piece.shape[1]), np.int64), piece[:-1].astype(np.int64)])
