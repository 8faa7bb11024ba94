"""Models of whole sequences: ``classify`` and ``regress``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.buckets import pad, token_buckets
from seriatim.encoding.labels import Labels
from seriatim.encoding.scaler import Standardizer
from seriatim.encoding.subwords import words_of
from seriatim.errors import DataError, RunError, UsageError
from seriatim.models.naive.constant import ConstantRegression
from seriatim.models.naive.majority import Majority
from seriatim.models.naive.nearest_sequence import NearestSequence
from seriatim.models.naive.rocket import RocketClassifier, RocketRegression
from seriatim.models.naive.summary import SummaryRegression
from seriatim.models.naive.tfidf import TfidfClassifier, TfidfRegression
from seriatim.notation import QUANTILES
from seriatim.runtime.arithmetic import POOLINGS, Floats, affine, affine_rows, softmax, softplus
from seriatim.runtime.bodies import read_body
from seriatim.runtime.branch import ConvolutionalBranch
from seriatim.runtime.description import Description
from seriatim.runtime.model import Model, Row, Stream, StreamModel
from seriatim.runtime.sequence_inputs import SequenceInputs
from seriatim.runtime.state import State
from seriatim.runtime.subwords import SubwordVectors, read_subwords
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]

BATCH: Final = 64
TOKENS: Final = 16_384
CLASSIFIERS: Final[Mapping[str, Callable[[int], Any]]] = {
    "majority": Majority, "tfidf": TfidfClassifier, "nearest": NearestSequence, "rocket": RocketClassifier
}  # fmt: skip
REGRESSIONS: Final[Mapping[str, Callable[[], Any]]] = {
    "mean": ConstantRegression, "tfidf": TfidfRegression, "stats": SummaryRegression, "rocket": RocketRegression
}  # fmt: skip
"""The naive models by name."""


@final
class SequenceNetwork:
    """Embedding or channels → body → pooled output → affine.

    A bag has no body: it pools the inputs. A branch reads the same inputs beside the body, and the affine map reads the
    outputs of both.
    """

    def __init__(self, description: Description, weights: WeightFile, inputs: SequenceInputs, outputs: int) -> None:
        network = description.part("network")
        self.embedding: Floats | None = None
        self._subwords: SubwordVectors | None = None
        width = inputs.channels
        if inputs.vocabulary is not None:
            width = network.size("embedding_size")
            self.embedding = weights.take("embedding", len(inputs.vocabulary), width)
            self._subwords = read_subwords(network, weights, inputs.subwords, width)
            if self._subwords is not None:
                self.embedding = self._subwords.added_to(self.embedding, inputs.vocabulary.tokens)
        self.body = read_body(network, weights, width) if network.has("body") else None
        self.pool_name = network.text("pool")
        self._pool = network.choice("pool", POOLINGS)
        size = width if self.body is None else self.body.output_size
        self.branch = None
        if network.has("branch"):
            self.branch = ConvolutionalBranch(network.part("branch"), weights, width)
            size += self.branch.output_size
        self.head = weights.take("head.weight", outputs, size), weights.take("head.bias", outputs)
        network.done()

    @property
    def is_causal(self) -> bool:
        """Whether a stream can be read."""
        return self.branch is None and (self.body is None or self.body.is_causal)

    def run(self, sequences: list[Array], raw: Sequence[Any]) -> Array:
        """Return the outputs of each encoded sequence, [N, K] float64; ``raw`` are their texts, if they are texts."""
        result = np.zeros((len(sequences), len(self.head[1])))
        for indices in token_buckets(list(map(len, sequences)), BATCH, TOKENS, seed=None):
            padded, lengths = pad([sequences[index] for index in indices], 0)
            vectors = self.vectors(padded)
            if self._subwords is not None:
                for row, index in enumerate(indices):
                    ids = padded[: lengths[row], row]
                    self._subwords.add_to_unknown(vectors[:, row], ids, words_of(raw[index]))
            x, directions = vectors, 1
            if self.body is not None:
                x, _ = self.body.run(vectors, (), lengths)
                directions = self.body.directions
            pooled = self._pool(x, lengths, directions)
            if self.branch is not None:
                pooled = np.concatenate([pooled, self.branch.run(vectors, lengths)], -1)
            result[indices] = affine(pooled, *self.head)
        return result

    def step_rows(self, states: Sequence[State], steps: Sequence[Any]) -> None:
        """Read one encoded step in each state, and update what is pooled."""
        x = self.vectors(np.stack([np.asarray(step) for step in steps]))
        carries = [state.carry for state in states]
        output, carries = (x, carries) if self.body is None else self.body.step_rows(x, carries)
        for row, (state, carry) in enumerate(zip(states, carries, strict=True)):
            state.carry, state.position = carry, state.position + 1
            value = output[row : row + 1].copy()
            if self.pool_name != "last":
                value = value.astype(np.float64)
                if "pooled" in state.arrays:
                    past = state.arrays["pooled"]
                    value = past + value if self.pool_name == "mean" else np.maximum(past, value)
            state.arrays["pooled"] = value

    def outputs(self, states: Sequence[State]) -> Array:
        """Return the outputs of the sequences so far, [B, K] float64; each has at least one step."""
        counts = np.array([state.position for state in states])[:, None]
        pooled = np.concatenate([state.arrays["pooled"] for state in states])
        pooled = pooled / counts if self.pool_name == "mean" else pooled
        return affine_rows(pooled.astype(np.float32), *self.head).astype(np.float64)

    def check_state(self, state: State) -> None:
        """Raise ``DataError`` for a state that this network cannot have."""
        if self.body is not None:
            self.body.check_carry(state.carry)
        width = self.head[0].shape[1]
        pooled = state.arrays.get("pooled")
        if (pooled is None) != (state.position == 0) or (pooled is not None and pooled.shape != (1, width)):
            raise DataError("snapshot: damaged ('pooled')")

    def read_step(self, step: Any, x: Any) -> Any:
        """Return what a stream reads for the encoded ``step``: itself, or the vectors of the words of the text ``x``.

        The state has no texts, from which the n-grams of unknown words could be taken later.
        """
        if self._subwords is None:
            return step
        vectors = self.vectors(step)
        self._subwords.add_to_unknown(vectors, step, words_of(x))
        return vectors

    def vectors(self, steps: Array) -> Array:
        """Return the vectors of units [...], or numbers and vectors as they are."""
        if self.embedding is None or np.issubdtype(steps.dtype, np.floating):
            return steps.astype(np.float32, copy=False)
        return self.embedding[steps]


class SequenceModel(StreamModel):
    """A model of whole sequences: texts, arrays of numbers [T, C], or samples of sound [N].

    A row of ``predict`` may also be a pair of an id and one of these.
    """

    def __init__(self, inputs: SequenceInputs, network: SequenceNetwork | None) -> None:
        self.inputs, self.network = inputs, network

    def encode(self, rows: Iterable[Any]) -> tuple[list[Array], Sequence[Any]]:
        """Return the encoded sequences, and the rows themselves without their ids."""
        raw = _named(rows)[1]
        raw = raw if isinstance(raw, str) else list(raw)
        return self.inputs.encode(raw), raw

    @abstractmethod
    def prediction(self, outputs: Array) -> Array:
        """Return the prediction for the network's outputs of one sequence."""

    @abstractmethod
    def answer(self, state: State, x: Any, prediction: Array) -> Row:
        """Return the answer of a stream, a row of ``predict``, for a prediction."""

    def stream(self, *, seed: int | None = None) -> Stream:
        if self.network is not None and self.network.branch is not None:
            raise UsageError(
                "stream: the convolutions of lstm_fcn read whole sequences, so it cannot read a stream; train with "
                "--model lstm, and of a blend use the network (--use network)"
            )
        if self.network is None or not self.network.is_causal:
            return Model.stream(self, seed=seed)
        if self.inputs.sound is not None and self.inputs.sound.needs_whole:
            raise UsageError("stream: recordings are scaled as a whole; train with --normalize training to stream")
        return Stream(self, seed)

    def begin(self, seed: int | None) -> State:
        return self.inputs.begin()

    def read_input(self, x: Any) -> Any:
        assert self.network is not None
        return self.network.read_step(self.inputs.read_step(x), x)

    def advance(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Any]:
        predictions = self.step_predictions(states, inputs)
        return [
            None if prediction is None else self.answer(state, x, prediction)
            for state, x, prediction in zip(states, inputs, predictions, strict=True)
        ]

    def step_predictions(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Array | None]:
        """Change each state by one step, and return the prediction, or None where nothing was read yet."""
        assert self.network is not None
        steps = [self.inputs.steps(state, x) for state, x in zip(states, inputs, strict=True)]
        for place in range(max(map(len, steps))):
            rows = [row for row, part in enumerate(steps) if place < len(part)]
            self.network.step_rows([states[row] for row in rows], [steps[row][place] for row in rows])
        begun = [row for row, state in enumerate(states) if state.position]
        predictions: list[Array | None] = [None] * len(states)
        if begun:
            for row, outputs in zip(begun, self.network.outputs([states[row] for row in begun]), strict=True):
                predictions[row] = self.prediction(outputs)
        return predictions

    def check_state(self, state: State) -> None:
        assert self.network is not None
        self.inputs.check_state(state)
        self.network.check_state(state)


@final
class Classifier(SequenceModel):
    """The class of a sequence and the probability of every class."""

    task: ClassVar[str] = "classify"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        codec = description.part("codec")
        self.labels = codec.decoded("labels", Labels.from_json)
        inputs = SequenceInputs(codec)
        codec.done()
        self._naive: Any = None
        network = None
        if description.has("network"):
            network = SequenceNetwork(description, weights, inputs, len(self.labels))
        else:
            self._naive = description.choice("model", CLASSIFIERS)(len(self.labels))
            load_naive(self._naive, weights)
            check_naive(self._naive, inputs, weights)
        super().__init__(inputs, network)

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        for number, chances in enumerate(self.chances(*self.encode(rows)), 1):
            yield {"row": number, **self.class_row(chances)}

    def chances(self, sequences: list[Array], raw: Sequence[Any]) -> Array:
        """Return the probability of each class for each encoded sequence, [N, K]; ``raw`` are the same sequences."""
        if self.network is not None:
            return softmax(self.network.run(sequences, raw))
        if isinstance(self._naive, Majority):
            return self._naive.probabilities(len(sequences))
        result: Array = self._naive.probabilities(raw if isinstance(self._naive, TfidfClassifier) else sequences)
        return result

    def prediction(self, outputs: Array) -> Array:
        return softmax(outputs)

    def answer(self, state: State, x: Any, prediction: Array) -> Row:
        return self.class_row(prediction)

    def class_row(self, chances: Array) -> Row:
        """Return the row of ``predict`` for the probabilities [K] of one sequence."""
        best, names = int(chances.argmax()), self.labels.names
        probabilities = {name: float(value) for name, value in zip(names, chances, strict=True)}
        return {"label": names[best], "probability": float(chances[best]), "probabilities": probabilities}


@final
class Regressor(SequenceModel):
    """The mean and the quantiles of a number for each sequence, or with ``every_step`` at each step of it."""

    task: ClassVar[str] = "regress"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        codec = description.part("codec")
        self._target = codec.decoded("target", Standardizer.from_json)
        if len(self._target.mean) != 1:
            codec.refuse("target", "one channel")
        inputs = SequenceInputs(codec)
        codec.done()
        settings = description.part("settings")
        self.every_step = settings.flag("every_step")
        self._lookback = settings.size("lookback") if settings.has("lookback") else 0
        settings.done()
        self._naive: Any = None
        network = None
        if description.has("network"):
            network = SequenceNetwork(description, weights, inputs, 1 + len(QUANTILES))
        else:
            self._naive = description.choice("model", REGRESSIONS)()
            load_naive(self._naive, weights)
            check_naive(self._naive, inputs, weights)
        super().__init__(inputs, network)

    def stream(self, *, seed: int | None = None) -> Stream:
        if self.every_step and self._lookback:
            raise UsageError("stream: this model was trained with --lookback, so it reads a window, not a stream")
        return super().stream(seed=seed)

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        yield from self.rows_of(rows, self.predictions)

    def rows_of(self, rows: Iterable[Any], predictions: Callable[[list[Array], Sequence[Any]], Array]) -> Iterator[Row]:
        """Yield a row of ``predict`` for each row, or for each step of it."""
        names, inputs = _named(rows)
        raw = inputs if isinstance(inputs, str) else list(inputs)
        sequences = self.inputs.encode(raw)
        ends = [(index, end) for index, values in enumerate(sequences) for end in self._ends(len(values))]
        parts = [sequences[index][self._start(end) : end] for index, end in ends]
        outputs = predictions(parts, raw)
        for number, ((index, end), values) in enumerate(zip(ends, outputs, strict=True), 1):
            name = {} if names[index] is None else {"id": names[index]}
            yield {"row": number, **name, **({"step": end} if self.every_step else {}), **_quantiles(values)}

    def predictions(self, sequences: list[Array], raw: Sequence[Any]) -> Array:
        """Return mean and quantiles [N, 1 + Q] of encoded sequences, in the data's units. ``raw`` are their texts."""
        if self.network is not None:
            return self.in_units(self.network.run(sequences, raw))
        if isinstance(self._naive, ConstantRegression):
            return self._naive.predictions(len(sequences))
        result: Array = self._naive.predictions(raw if isinstance(self._naive, TfidfRegression) else sequences)
        return result

    def prediction(self, outputs: Array) -> Array:
        values: Array = self.in_units(outputs[None])[0]
        return values

    def answer(self, state: State, x: Any, prediction: Array) -> Row:
        return _quantiles(prediction)

    def _ends(self, length: int) -> Iterable[int]:
        return range(1, length + 1) if self.every_step else [length]

    def _start(self, end: int) -> int:
        return max(0, end - self._lookback) if self._lookback else 0

    def in_units(self, outputs: Array) -> Array:
        """Turn outputs [N, 1 + Q] into the mean and rising quantiles, in the data's units."""
        outputs = outputs.astype(np.float32)
        rising = np.cumsum(softplus(outputs[:, 2:]), -1)
        rising = np.concatenate([np.zeros_like(rising[:, :1]), rising], -1)
        values = np.concatenate([outputs[:, :1], outputs[:, 1:2] + rising - rising.mean(-1, keepdims=True)], -1)
        result: Array = values.astype(np.float64) * self._target.scale + self._target.mean
        return result


def _named(rows: Iterable[Any]) -> tuple[list[str | None], Iterable[Any]]:
    """Split rows into ids, where they have one, and inputs."""
    if isinstance(rows, str):
        return [], rows
    pairs = [
        row if isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], str) else (None, row) for row in rows
    ]
    return [name for name, _ in pairs], [inputs for _, inputs in pairs]


def load_naive(model: Any, weights: WeightFile) -> None:
    """Load the arrays of a naive model. Raises ``RunError`` for arrays that do not fit."""
    try:
        model.load_state_dict({name: weights.raw(name) for name in sorted(weights.names)})
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError(f"{weights.path}: damaged ({error})") from None


def check_naive(model: Any, inputs: SequenceInputs, weights: WeightFile) -> None:
    """Raise ``RunError`` for a naive model that reads other inputs than the codec makes."""
    reads_text = isinstance(model, (TfidfClassifier, TfidfRegression))
    reads_any = isinstance(model, (Majority, ConstantRegression))
    if not reads_any and (reads_text != (inputs.vocabulary is not None) or model.channels not in (0, inputs.channels)):
        raise RunError(f"{weights.path}: {type(model).__name__} does not fit the inputs")


def _quantiles(values: Array) -> Row:
    quantiles = {str(level): float(value) for level, value in zip(QUANTILES, values[1:], strict=True)}
    return {"prediction": float(values[0]), "quantiles": quantiles}
