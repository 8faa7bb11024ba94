"""Models of piano rolls: several notes at each step."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, RunError, UsageError
from seriatim.models.naive.note_chances import NoteChances, NoteFrequencies, NoteTransitions
from seriatim.runtime.arithmetic import Floats, affine, affine_rows
from seriatim.runtime.bodies import read_body
from seriatim.runtime.description import Description
from seriatim.runtime.model import Row, StreamModel
from seriatim.runtime.naive import load_naive
from seriatim.runtime.state import State, generator_of, start_generator
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]

NAIVE: dict[str, type[NoteFrequencies] | type[NoteTransitions]] = {
    "unigram": NoteFrequencies, "markov": NoteTransitions
}  # fmt: skip
LARGEST = 1 << 16


class Rolls(StreamModel):
    """A model of piano rolls. A row of ``predict`` is a piece [T, K] of 0 and 1."""

    task: ClassVar[str] = "language"
    writing: ClassVar[str | None] = "continues"
    notes: int

    @abstractmethod
    def piece_logits(self, piece: Floats) -> Array:
        """Return the logits [T, K] of each step of a piece, with silence before the first step."""

    @abstractmethod
    def next_logits(self, states: Sequence[State], notes: Sequence[Array]) -> list[Array]:
        """Read a step in each state; return the logits [K] of the next, in float64."""

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        for number, row in enumerate(rows, 1):
            piece = np.asarray(row)
            if piece.ndim != 2 or piece.shape[1] != self.notes or not len(piece) or not np.isin(piece, (0, 1)).all():
                raise DataError(f"row {number}: got shape {piece.shape}, wanted [T, {self.notes}] of 0 and 1")
            joint = self._log_probability(piece.astype(np.float32))
            yield {"piece": number, "steps": len(piece), "log_probability": joint, "nll": -joint / len(piece)}

    def _log_probability(self, piece: Floats) -> float:
        logits = self.piece_logits(piece)
        # -log P = max(a, 0) - a n + log(1 + e^-|a|)
        entropy = np.maximum(logits, 0) - logits * piece + np.log1p(np.exp(-np.abs(logits)))
        return -float(entropy.sum(1).astype(np.float64).sum())

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """Write a piece that begins with silence: a JSON line per step with the numbers (from 0) of its notes."""
        if prompt or top_k or stop or top_p != 1.0 or repetition_penalty != 1.0:
            raise UsageError("prompt, top_k, top_p, repetition_penalty, stop: for text, not for piano rolls")
        return self._write(length, temperature, seed)

    def _write(self, length: int, temperature: float, seed: int | None) -> Iterator[str]:
        state = self.begin(seed)
        generator = generator_of(state.values["sampler"])
        notes: Array = np.zeros(self.notes, np.float32)
        for number in range(1, length + 1):
            logits = self.next_logits([state], [notes])[0]
            with np.errstate(over="ignore"):
                chances = 1 / (1 + np.exp(-logits / temperature)) if temperature else (logits > 0) * 1.0
            notes = (generator.random(self.notes) < chances).astype(np.float32)
            yield json.dumps({"step": number, "notes": np.flatnonzero(notes).tolist()}) + "\n"

    def begin(self, seed: int | None) -> State:
        return State(values={"sampler": start_generator(seed)})

    def read_input(self, x: Any) -> Any:
        """Check the notes of a step: their numbers, from 0."""
        if not isinstance(x, (list, tuple)) or not all(type(note) is int and 0 <= note < self.notes for note in x):
            raise DataError(f"x: got {x!r:.40}, wanted a list of numbers of notes, from 0 to {self.notes - 1}")
        notes = np.zeros(self.notes, np.float32)
        notes[list(x)] = 1
        return notes

    def advance(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Any]:
        """Return the probability [K] of each note at the next step."""
        return [1 / (1 + np.exp(-logits)) for logits in self.next_logits(states, inputs)]


@final
class RollModel(Rolls):
    """A network or a naive model."""

    def __init__(self, description: Description, weights: WeightFile) -> None:
        codec = description.part("codec")
        codec.text("unit")
        self.notes = count = codec.size("notes")
        codec.done()
        if count > LARGEST:
            codec.refuse("notes", f"at most {LARGEST}")
        self._naive: NoteChances | None = None
        if not description.has("network"):
            self._naive = description.choice("model", NAIVE)(count)
            load_naive(self._naive, weights)
            return
        network = description.part("network")
        self.body = read_body(network, weights, count)
        if not self.body.is_causal:
            raise RunError(f"{network.place}: a body that sees what it predicts")
        self.head = weights.take("head.weight", count, self.body.output_size), weights.take("head.bias", count)
        network.done()

    def piece_logits(self, piece: Floats) -> Array:
        if self._naive is not None:
            return _log_odds(self._naive.chances_of(piece))
        previous = np.concatenate([np.zeros_like(piece[:1]), piece[:-1]])
        states, _ = self.body.run(previous[:, None])
        return affine(states[:, 0], *self.head)

    def next_logits(self, states: Sequence[State], notes: Sequence[Array]) -> list[Array]:
        for state in states:
            state.position += 1
        if self._naive is not None:
            return [_log_odds(self._naive.step(step)) for step in notes]
        output, carries = self.body.step_rows(np.stack(notes), [state.carry for state in states])
        for state, carry in zip(states, carries, strict=True):
            state.carry = carry
        return list(affine_rows(output, *self.head).astype(np.float64))

    def check_state(self, state: State) -> None:
        generator_of(state.values.get("sampler"))
        if state.arrays or (self._naive is not None and state.carry):
            raise DataError("snapshot: damaged")
        if self._naive is None:
            self.body.check_carry(state.carry)


def _log_odds(chances: Array) -> Array:
    odds: Array = np.log(chances) - np.log1p(-chances)
    return odds
