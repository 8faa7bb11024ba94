"""A model that writes a text for each input: its encoder, its decoder and the beam search."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.decoding.beam import Hypothesis, search
from seriatim.encoding.buckets import token_buckets
from seriatim.encoding.script import Script
from seriatim.errors import DataError
from seriatim.notation import UNKNOWN
from seriatim.runtime.averaged_decoder import AveragedDecoder
from seriatim.runtime.decoder import Decoder, Memory, read_decoder
from seriatim.runtime.description import Description
from seriatim.runtime.mixture import Mixture
from seriatim.runtime.model import Model, Row, Stream, StreamModel
from seriatim.runtime.state import State
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]

BATCH: Final = 64
TOKENS: Final = 4096
LONGEST: Final = 1 << 20


class Writer(StreamModel):
    """An encoder and a decoder, with the settings of the beam search.

    A stream reads the source in its first step, then the units of the text that is written.
    """

    script: Script
    decoder: Decoder
    members: tuple[Writer, ...] = ()
    """The networks of an ensemble."""

    def read_settings(self, description: Description, longest: int) -> None:
        """Read the settings of the beam search."""
        settings = description.part("settings")
        self._beam_size, self._n_best = settings.size("beam_size"), settings.size("n_best")
        self._length_penalty = settings.number("length_penalty", 0.0)
        self.max_length = settings.size("max_length") if settings.has("max_length") else 2 * longest
        settings.done()
        if self.max_length > LONGEST or self._beam_size > LONGEST or self._n_best > self._beam_size:
            settings.refuse("max_length", f"sizes up to {LONGEST}, and n_best at most the beam's size")

    def read_network(self, network: Description, weights: WeightFile, context: int, memory: int) -> None:
        """Read the decoder, for a memory of these widths."""
        self.decoder, part = read_decoder(network, weights, len(self.script))
        if part.size("memory_size") != memory or part.size("context_size") != context:
            part.refuse("memory_size", f"{memory}, and context_size {context}")
        part.done()

    @abstractmethod
    def memory(self, inputs: Sequence[Array]) -> Memory:
        """Encode a batch of inputs."""

    def read_members(self, mixture: Mixture[Writer]) -> None:
        """Take the networks of ``mixture`` together: each step averages the probabilities of the next unit."""
        self.members = mixture.members
        self.decoder = AveragedDecoder([member.decoder for member in mixture.members], mixture.mix)

    def start(self, inputs: Sequence[Array]) -> Any:
        """Encode a batch of inputs; return the state before the first unit."""
        if self.members:
            return tuple(member.start(inputs) for member in self.members)
        return self.decoder.begin(self.memory(inputs))

    @property
    @abstractmethod
    def has_network(self) -> bool:
        """Whether the model is a network, which can read a stream."""

    @abstractmethod
    def encode_source(self, x: Any) -> Array:
        """Check and encode the source, the input of the first step."""

    def stream(self, *, seed: int | None = None) -> Stream:
        return Stream(self, seed) if self.has_network else Model.stream(self, seed=seed)

    def begin(self, seed: int | None) -> State:
        return State()

    def read_input(self, x: Any) -> Any:
        """Return the input unchanged: only ``advance`` knows whether it is the source."""
        return x

    def advance(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Any]:
        """Return the log-probabilities [V + 1] of the next unit; the last is the end. Each stream runs by itself."""
        answers: list[Any] = []
        for state, x in zip(states, inputs, strict=True):
            if state.arrays:
                units, inner = self._units(x), self.decoder.from_arrays(state.arrays)
            else:
                units, inner = [self.decoder.boundary], self.start([self.encode_source(x)])
            for unit in units:
                chances, inner, _ = self.decoder.step(np.array([unit]), inner)
            state.arrays, state.position = self.decoder.to_arrays(inner), state.position + 1
            answers.append(chances[0])
        return answers

    def _units(self, x: Any) -> list[int]:
        """Return the units of a text, or the number of a unit, which was written."""
        count = len(self.script)
        if isinstance(x, str) and len(encoded := self.script.encode(x)):
            units: list[int] = encoded.tolist()
            return units
        if isinstance(x, (int, np.integer)) and not isinstance(x, bool) and 0 <= x < count:
            return [int(x)]
        raise DataError(f"x: got {x!r:.40}, wanted a text that is not empty, or the number of a unit below {count}")

    def check_state(self, state: State) -> None:
        if state.carry or state.values or (not state.arrays) != (state.position == 0):
            raise DataError("snapshot: damaged")
        if state.arrays:
            _, inner, _ = self.decoder.step(np.array([self.decoder.boundary]), self.start([self.first_input()]))
            self.decoder.check_arrays(state.arrays, self.decoder.to_arrays(inner))
            for name, lengths in state.arrays.items():
                memory = state.arrays.get(f"{name.removesuffix('lengths')}memory")
                if name.endswith("lengths") and memory is not None and not 1 <= lengths[0] <= len(memory):
                    raise DataError(f"snapshot: damaged ('{name}')")

    @abstractmethod
    def first_input(self) -> Array:
        """Return an encoded source of one step, or a picture, whose state has arrays like those of any other."""

    def write(self, inputs: Sequence[Array]) -> Iterator[Row]:
        """Write texts for each encoded input."""
        for texts in self.hypotheses(inputs):
            rows: list[Row] = [{"prediction": self.script.decode(text.units), "score": text.score} for text in texts]
            yield rows[0] | ({"n_best": rows} if self._n_best > 1 else {})

    def hypotheses(self, inputs: Sequence[Array]) -> list[list[Hypothesis]]:
        """Return the best texts for each encoded input."""
        result: list[list[Hypothesis]] = [[] for _ in inputs]
        for indices in token_buckets([len(encoded) for encoded in inputs], BATCH, TOKENS, seed=None):
            hypotheses = search(
                self.decoder,
                self.start([inputs[index] for index in indices]),
                len(indices),
                self.decoder.boundary,
                max_length=self.max_length,
                beam_size=self._beam_size,
                n_best=self._n_best,
                length_penalty=self._length_penalty,
                forbidden=(UNKNOWN,),
            )
            for index, texts in zip(indices, hypotheses, strict=True):
                result[index] = texts
        return result

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield a row for each text."""
        shared = {name: row[name] for name in ("row", "source", "image") if name in row}
        for rank, text in enumerate(row.get("n_best", [row]), 1):
            values = {name: text[name] for name in ("prediction", "score") if name in text}
            yield shared | ({"rank": rank} if "n_best" in row else {}) | values
