"""Models of whole sequences: ``classify`` and ``regress``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.labels import Labels
from seriatim.encoding.scaler import Standardizer
from seriatim.errors import RunError, UsageError
from seriatim.models.naive.constant import ConstantRegression
from seriatim.models.naive.majority import Majority
from seriatim.models.naive.nearest_sequence import NearestSequence
from seriatim.models.naive.rocket import RocketClassifier, RocketRegression
from seriatim.models.naive.summary import SummaryRegression
from seriatim.models.naive.tfidf import TfidfClassifier, TfidfRegression
from seriatim.notation import QUANTILES
from seriatim.runtime.arithmetic import softmax, softplus
from seriatim.runtime.description import Description
from seriatim.runtime.model import Model, PredictingStreamModel, Row, Stream
from seriatim.runtime.naive import load_naive
from seriatim.runtime.sequence_inputs import SequenceInputs
from seriatim.runtime.sequence_network import SequenceNetwork
from seriatim.runtime.state import State
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]

CLASSIFIERS: Final[Mapping[str, Callable[[int], Any]]] = {
    "majority": Majority, "tfidf": TfidfClassifier, "nearest": NearestSequence, "rocket": RocketClassifier
}  # fmt: skip
REGRESSIONS: Final[Mapping[str, Callable[[], Any]]] = {
    "mean": ConstantRegression, "tfidf": TfidfRegression, "stats": SummaryRegression, "rocket": RocketRegression
}  # fmt: skip
"""The naive models by name."""


class SequenceModel(PredictingStreamModel):
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

    def step_predictions(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Array | None]:
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


def check_naive(model: Any, inputs: SequenceInputs, weights: WeightFile) -> None:
    """Raise ``RunError`` for a naive model that reads other inputs than the codec makes."""
    reads_text = isinstance(model, (TfidfClassifier, TfidfRegression))
    reads_any = isinstance(model, (Majority, ConstantRegression))
    if not reads_any and (reads_text != (inputs.vocabulary is not None) or model.channels not in (0, inputs.channels)):
        raise RunError(f"{weights.path}: {type(model).__name__} does not fit the inputs")


def _quantiles(values: Array) -> Row:
    quantiles = {str(level): float(value) for level, value in zip(QUANTILES, values[1:], strict=True)}
    return {"prediction": float(values[0]), "quantiles": quantiles}
