"""Naive models of piano rolls: the probability of each note by counting.

Counts start at a half: the estimator of Krichevsky & Trofimov (1981).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]


class NoteChances(ABC):
    """A statistical model of rolls: the probability of each note after the step before."""

    def __init__(self, notes: int) -> None:
        self.chances = np.full((2, notes), 0.5)
        """[2, K]: the probability of a note that was off, and of one that was on, at the step before."""

    @abstractmethod
    def fit(self, pieces: Sequence[Array]) -> None:
        """Count the notes of ``pieces`` [T, K]."""

    @final
    def log_probability(self, piece: Array) -> float:
        """Return the joint log-probability of a piece [T, K] in nats, with silence before the first step."""
        chances = self.chances_of(piece)
        return float(np.log(np.where(piece > 0, chances, 1 - chances)).sum())

    @final
    def chances_of(self, piece: Array) -> Array:
        """Return the probability of each note at each step of a piece, [T, K], with silence before the first step."""
        chances: Array = self.chances[_previous(piece), np.arange(piece.shape[1])]
        return chances

    @final
    def step(self, notes: Array) -> Array:
        """Return the probability of each note [K] after a step with ``notes`` [K]."""
        chances: Array = self.chances[notes.astype(np.int64), np.arange(len(notes))]
        return chances

    @final
    def state_dict(self) -> dict[str, Array]:
        return {"chances": self.chances}

    @final
    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it has another number of notes."""
        if state["chances"].shape != self.chances.shape:
            raise ValueError(f"chances: got {state['chances'].shape}, wanted {self.chances.shape}")
        self.chances = state["chances"]

    @property
    def parameters_count(self) -> int:
        return self.chances.size


@final
class NoteFrequencies(NoteChances):
    """The frequency of each note. The order of steps does not matter."""

    def fit(self, pieces: Sequence[Array]) -> None:
        notes = np.concatenate(list(pieces))
        self.chances = np.tile((notes.sum(0) + 0.5) / (len(notes) + 1.0), (2, 1))


@final
class NoteTransitions(NoteChances):
    """A first-order Markov chain for each note: its frequency after steps with and without it."""

    def fit(self, pieces: Sequence[Array]) -> None:
        notes, previous = np.concatenate(list(pieces)), np.concatenate([_previous(piece) for piece in pieces])
        counts = np.stack([(previous == state).sum(0) for state in (0, 1)])
        note_counts = np.stack([(notes * (previous == state)).sum(0) for state in (0, 1)])
        self.chances = (note_counts + 0.5) / (counts + 1.0)


def _previous(piece: Array) -> Array:
    """Return the step before each step of a piece [T, K], with silence before the first."""
    return np.concatenate([np.zeros((1, piece.shape[1]), np.int64), piece[:-1].astype(np.int64)])
