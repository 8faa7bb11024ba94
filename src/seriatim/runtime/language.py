"""Language models: networks, and n-grams."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.decoding.sampling import draw_unit, penalize_repetition, probabilities
from seriatim.decoding.stops import cut_at_stop
from seriatim.encoding.scoring_batches import scoring_batches
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, RunError, UsageError
from seriatim.models.naive.markov import Markov
from seriatim.notation import UNKNOWN
from seriatim.runtime.arithmetic import affine, affine_rows, log_softmax
from seriatim.runtime.bodies import read_body
from seriatim.runtime.body import Carry
from seriatim.runtime.description import Description
from seriatim.runtime.model import Row, Stream, StreamModel, checked_texts
from seriatim.runtime.roll import RollModel
from seriatim.runtime.state import State, generator_of, start_generator
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]

ROWS: Final = 32
WARM_UP: Final = 512
STEPS: Final = 256
"""A long text is scored in parts, as the run does it: the parts, the units before each, and the units at once."""
REACH: Final = 8
"""The number of units that decide how the next one joins the text."""
KEPT: Final = 1 << 24
"""Bytes of input parts that are kept."""


class LanguageModel(StreamModel):
    """A model of the next unit of a text."""

    task: ClassVar[str] = "language"
    writing: ClassVar[str | None] = "continues"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @abstractmethod
    def log_probabilities(self, units: Array) -> Array:
        """Return log P of each unit given all units before it, [N] in nats."""

    @abstractmethod
    def next_scores(self, states: Sequence[State]) -> list[Array]:
        """Return the log-probabilities [V] of the next unit in each state."""

    @abstractmethod
    def read_units(self, states: Sequence[State], units: Sequence[int]) -> None:
        """Change each state by one unit."""

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        """Yield the joint log-probability of each line of each text."""
        number = 0
        for text in checked_texts(rows):
            for line in _lines(text):
                number += 1
                units = self.vocabulary.encode(line)
                if not len(units):
                    continue
                joint = float(self.log_probabilities(units).sum())
                yield {
                    "line": number,
                    "text": line,
                    "units": len(units),
                    "log_probability": joint,
                    "perplexity": math.exp(min(-joint / len(units), 700.0)),
                }

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
        """Yield text in pieces that continues ``prompt``; see ``Run.generate``."""
        stream = self.stream(seed=seed)
        if prompt:
            for unit in self.vocabulary.encode(prompt).tolist():
                self.read_units([stream.state], [unit])
                _remember(stream.state, unit, [])
        return stream.write(
            length, temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=repetition_penalty, stop=stop
        )

    def stream(self, *, seed: int | None = None) -> LanguageStream:
        return LanguageStream(self, seed)

    def begin(self, seed: int | None) -> State:
        state = State(values={"sampler": start_generator(seed), "recent": [], "pending": []})
        self.read_units([state], [UNKNOWN])
        state.position = 0
        state.arrays["seen"] = np.zeros(len(self.vocabulary), np.bool_)
        return state

    def read_input(self, x: Any) -> list[int]:
        if isinstance(x, str):
            units: list[int] = self.vocabulary.encode(x).tolist()
            if not units:
                raise DataError("x: a text without units")
            return units
        if isinstance(x, (int, np.integer)) and not isinstance(x, bool) and 0 <= x < len(self.vocabulary):
            return [int(x)]
        raise DataError(f"x: got {x!r}, wanted a text, or the number of a unit from 0 to {len(self.vocabulary) - 1}")

    def advance(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Any]:
        for place in range(max(map(len, inputs))):
            rows = [row for row, units in enumerate(inputs) if place < len(units)]
            chosen, units = [states[row] for row in rows], [inputs[row][place] for row in rows]
            self.read_units(chosen, units)
            for state, unit in zip(chosen, units, strict=True):
                _remember(state, unit, [])
        return list(self.next_scores(states))

    def check_state(self, state: State) -> None:
        generator_of(state.values.get("sampler"))
        for name in ("recent", "pending"):
            units = state.values.get(name)
            if not isinstance(units, list) or not all(type(u) is int and 0 <= u < len(self.vocabulary) for u in units):
                raise DataError(f"snapshot: damaged ('{name}')")
        seen = state.arrays.get("seen")
        if seen is None or seen.shape != (len(self.vocabulary),) or seen.dtype != np.bool_:
            raise DataError("snapshot: damaged ('seen')")
        own = state.copy()
        del own.arrays["seen"]
        self.check_context(own)

    @abstractmethod
    def check_context(self, state: State) -> None:
        """Raise ``DataError`` for a state, without the parts that all language models have, that this model lacks."""


@final
class LanguageStream(Stream):
    """A stream of a language model, which can also write."""

    model: LanguageModel

    def write(
        self,
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
    ) -> Iterator[str]:
        if not 0.0 < repetition_penalty < np.inf:
            raise UsageError(f"repetition_penalty: got {repetition_penalty}, wanted more than 0; 1 is off")
        if length < 0:
            raise UsageError(f"length: got {length}, wanted at least 0")
        probabilities([0.0], temperature=temperature, top_k=top_k, top_p=top_p)  # checks them at once
        stops = (stop,) if isinstance(stop, str) else tuple(stop)

        def texts() -> Iterator[str]:
            sampler, generator = None, np.random.Generator(np.random.PCG64(0))
            for _ in range(length):
                scores = self.model.next_scores([self.state])[0]
                scores[UNKNOWN] = -np.inf  # <unk> cannot be written as text
                if repetition_penalty != 1.0:
                    seen = np.flatnonzero(self.state.arrays["seen"]).tolist()
                    scores = penalize_repetition(scores, seen, repetition_penalty)
                if self.state.values["sampler"] is not sampler:  # at the start, and if the stream was restored
                    generator = generator_of(self.state.values["sampler"])
                unit = draw_unit(scores, generator, temperature=temperature, top_k=top_k, top_p=top_p)
                text = self._read_drawn(unit, generator)
                sampler = self.state.values["sampler"]
                if text is not None:
                    yield text

        return cut_at_stop(texts(), stops)

    def _read_drawn(self, unit: int, generator: np.random.Generator) -> str | None:
        """Read a unit that was drawn. Return its text, or None if it ends inside a character."""
        state = self.state.copy()
        self.model.read_units([state], [unit])
        recent, pending = state.values["recent"], [*state.values["pending"], unit]
        decode = self.model.vocabulary.decode
        text = decode([*recent, *pending])
        is_whole = not text.endswith("\N{REPLACEMENT CHARACTER}")
        _remember(state, unit, [] if is_whole else pending)
        state.values["sampler"] = generator.bit_generator.state
        self.state = state
        return text[len(decode(recent)) :] if is_whole else None


@final
class NetworkLanguageModel(LanguageModel):
    """Embedding → body → affine → softmax."""

    def __init__(self, description: Description, weights: WeightFile, vocabulary: Vocabulary) -> None:
        super().__init__(vocabulary)
        network, size = description.part("network"), len(vocabulary)
        width = network.size("embedding_size")
        self.embedding = weights.take("embedding", size, width)
        self.body = read_body(network, weights, width)
        if not self.body.is_causal:
            raise RunError(f"{network.place}: a body that sees what it predicts")
        if network.flag("tied") and self.body.output_size != width:
            network.refuse("tied", "false, for a body of another width")
        self._weight = (
            self.embedding if network.flag("tied") else weights.take("head.weight", size, self.body.output_size)
        )
        self._bias = weights.take("head.bias", size)
        network.done()
        self._parts: dict[int, Array] = {}

    def log_probabilities(self, units: Array) -> Array:
        parts, scored = [], []
        rows = max(1, min(ROWS, len(units) // WARM_UP))
        carry: Carry = ()
        for inputs, targets, shares in scoring_batches(units, rows, STEPS, WARM_UP):
            states, carry = self.body.run(self.embedding[inputs], carry)
            values = np.empty(targets.shape)
            for step, (state, target) in enumerate(zip(states, targets, strict=True)):  # so that memory stays small
                chances = log_softmax(affine(state, self._weight, self._bias))
                values[step] = chances[np.arange(rows), target]
            parts.append(values)
            scored.append(shares > 0)
        result: Array = np.concatenate(parts).T[np.concatenate(scored).T]
        return result

    def step_rows(self, units: Array, carries: Sequence[Carry]) -> tuple[Array, list[Carry]]:
        """Read one unit in each row [B]; return the log-probabilities [B, V] of the next ones, and the carries."""
        output, carries = self._step(units.tolist(), carries)
        return log_softmax(affine(output, self._weight, self._bias)), carries

    def _step(self, units: Sequence[int], carries: Sequence[Carry]) -> tuple[Array, list[Carry]]:
        """Read one unit in each row; return the outputs of the body [B, H] and the carries."""
        x = self.embedding[units[0] : units[0] + 1] if len(units) == 1 else self.embedding[list(units)]
        return self.body.step_rows(x, carries, self._input_parts(units))

    def _input_parts(self, units: Sequence[int]) -> list[Array] | None:
        """Return ``Body.input_part`` for each of ``units``, or None. They are kept."""
        parts = []
        for unit in units:
            part = self._parts.get(unit)
            if part is None:
                part = self.body.input_part(self.embedding[unit : unit + 1])
                if part is None:
                    return None
                if (len(self._parts) + 1) * part.nbytes <= KEPT:
                    self._parts[unit] = part
            parts.append(part)
        return parts

    def read_units(self, states: Sequence[State], units: Sequence[int]) -> None:
        output, carries = self._step(units, [state.carry for state in states])
        for row, (state, carry) in enumerate(zip(states, carries, strict=True)):
            state.carry, state.position = carry, state.position + 1
            state.arrays["output"] = output[row : row + 1].copy()

    def next_scores(self, states: Sequence[State]) -> list[Array]:
        outputs = [state.arrays["output"] for state in states]
        logits = affine_rows(outputs[0] if len(outputs) == 1 else np.concatenate(outputs), self._weight, self._bias)
        return [log_softmax(row) for row in logits]

    def check_context(self, state: State) -> None:
        self.body.check_carry(state.carry)
        output = state.arrays.get("output")
        if set(state.arrays) != {"output"} or output is None or output.shape != (1, self.body.output_size):
            raise DataError("snapshot: damaged ('output')")


@final
class MarkovLanguageModel(LanguageModel):
    """An n-gram model. Its state is the last units."""

    def __init__(self, weights: WeightFile, vocabulary: Vocabulary) -> None:
        super().__init__(vocabulary)
        self._markov = Markov()
        try:
            self._markov.load_state_dict({name: weights.raw(name) for name in weights.names})
        except ValueError as error:
            raise RunError(f"{weights.path}: damaged ({error})") from None
        if self._markov.vocabulary_size != len(vocabulary):
            raise RunError(
                f"{weights.path}: {self._markov.vocabulary_size} units, but the vocabulary has {len(vocabulary)}"
            )

    def log_probabilities(self, units: Array) -> Array:
        return self._markov.log_probabilities(units)

    def read_units(self, states: Sequence[State], units: Sequence[int]) -> None:
        order = self._markov.order
        for state, unit in zip(states, units, strict=True):
            past = state.values.get("context", [])
            is_start = "context" not in state.values  # the unknown past before the first unit
            state.values["context"] = [] if is_start or not order else [*past, unit][-order:]
            state.position += 1

    def next_scores(self, states: Sequence[State]) -> list[Array]:
        return [self._markov.step(np.asarray(state.values["context"], np.int64)) for state in states]

    def check_context(self, state: State) -> None:
        context = state.values.get("context")
        if (
            state.carry
            or state.arrays
            or not isinstance(context, list)
            or len(context) > self._markov.order
            or not all(type(unit) is int and 0 <= unit < len(self.vocabulary) for unit in context)
        ):
            raise DataError("snapshot: damaged ('context')")


def read_language(description: Description, weights: WeightFile) -> StreamModel:
    """Read a model of text or of piano rolls."""
    codec = description.value("codec")
    if isinstance(codec, dict) and codec.get("unit") == "roll":
        return RollModel(description, weights)
    vocabulary = description.decoded("codec", Vocabulary.from_json)
    if description.has("network"):
        return NetworkLanguageModel(description, weights, vocabulary)
    return MarkovLanguageModel(weights, vocabulary)


def _remember(state: State, unit: int, pending: list[int]) -> None:
    """Add a unit to the units that were seen. ``pending`` are the last units if their text is not whole yet."""
    if not state.arrays["seen"][unit]:
        seen = state.arrays["seen"].copy()
        seen[unit] = True
        state.arrays["seen"] = seen
    if not pending:
        whole = [*state.values["recent"], *state.values["pending"], unit]
        state.values["recent"] = whole[-REACH:]
    state.values["pending"] = pending


def _lines(text: str) -> list[str]:
    """Split a text at its line ends."""
    text = text.replace("\r\n", "\n")
    text = text if "\n" in text else text.replace("\r", "\n")
    return text.removesuffix("\n").split("\n")
