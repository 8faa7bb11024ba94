"""The inputs of models of whole sequences: texts, numbers, or sound, as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.scaler import Standardizer
from seriatim.encoding.sound import LogMel
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.runtime.description import Description
from seriatim.runtime.state import State

Array = NDArray[Any]


@final
class SequenceInputs:
    """Turns raw sequences into arrays, with a vocabulary for texts, or a scaler for numbers and frames of sound.

    ``subwords`` is the number of buckets of the words' n-grams, or 0 if words are read without them.
    """

    def __init__(self, codec: Description) -> None:
        stored = codec.value("inputs")
        self.vocabulary: Vocabulary | None = None
        self.scaler: Standardizer | None = None
        self.sound: LogMel | None = None
        self.subwords = 0
        if isinstance(stored, dict) and "mean" in stored:
            self.scaler = codec.decoded("inputs", Standardizer.from_json)
            self.sound = codec.decoded(
                "inputs", lambda item: LogMel.from_json(item["sound"]) if "sound" in item else None
            )
        else:
            self.vocabulary = codec.decoded("inputs", Vocabulary.from_json)
            if "subwords" in stored:
                self.subwords = codec.part("inputs").size("subwords")

    @property
    def channels(self) -> int:
        """The number of channels of a step; 0 for texts."""
        return 0 if self.scaler is None else len(self.scaler.mean)

    def encode(self, rows: Iterable[Any]) -> list[Array]:
        """Encode sequences: ``[T]`` units, or ``[T, C]`` float32. Raises ``DataError`` for a row that does not fit."""
        if isinstance(rows, str):
            raise UsageError("rows: got a text, wanted a list of texts")
        return [self._encode(f"row {number}", row) for number, row in enumerate(rows, 1)]

    def _encode(self, place: str, row: Any) -> Array:
        if self.vocabulary is not None:
            if not isinstance(row, str):
                raise DataError(f"{place}: got {type(row).__name__}, but the model reads texts")
            units = self.vocabulary.encode(row)
            return units if len(units) else np.zeros(1, np.int32)
        assert self.scaler is not None
        if self.sound is not None:
            samples = _numbers(place, row, np.float32)
            if samples.ndim != 1 or not len(samples):
                raise DataError(f"{place}: got shape {samples.shape}, wanted samples [N]")
            return self.scaler.transform(self.sound.transform(samples))
        values = _numbers(place, row, np.float64)
        values = values[:, None] if values.ndim == 1 and self.channels == 1 else values
        if values.ndim != 2 or values.shape[1] != self.channels or not len(values):
            raise DataError(
                f"{place}: got shape {values.shape}, but the model reads sequences of {self.channels} channels"
            )
        scaled: Array = self.scaler.transform(values).astype(np.float32)
        return scaled

    def begin(self) -> State:
        """Return the state before the first step."""
        if self.sound is None:
            return State()
        return State(arrays={"samples": np.zeros(0, np.float32)}, values={"skip": 0})

    def read_step(self, x: Any) -> Array:
        """Check and encode what one step of a stream reads: a text, a vector [C], or samples [N]."""
        if self.vocabulary is not None:
            if not isinstance(x, str) or not len(units := self.vocabulary.encode(x)):
                raise DataError(f"x: got {x!r:.40}, wanted a text that is not empty")
            return units
        assert self.scaler is not None
        values = _numbers("x", x, np.float64 if self.sound is None else np.float32)
        if self.sound is not None:
            if values.ndim != 1:
                raise DataError(f"x: got shape {values.shape}, wanted samples [N]")
            return values
        if values.shape != (self.channels,):
            raise DataError(f"x: got shape {values.shape}, wanted [{self.channels}]")
        scaled: Array = self.scaler.transform(values[None]).astype(np.float32)
        return scaled

    def steps(self, state: State, x: Array) -> Array:
        """Return the steps that ``x`` completes. For sound the state keeps the samples that frames overlap."""
        if self.sound is None:
            return x
        assert self.scaler is not None
        stream = self.sound.stream()
        stream.resume(state.arrays["samples"], state.values["skip"])
        frames = stream.push(x)
        state.arrays["samples"], state.values["skip"] = stream.rest()
        return self.scaler.transform(frames)

    def check_state(self, state: State) -> None:
        """Raise ``DataError`` for a state that these inputs cannot have."""
        if self.sound is None:
            return
        samples, skip = state.arrays.get("samples"), state.values.get("skip")
        if (
            samples is None
            or samples.ndim != 1
            or samples.dtype != np.float32
            or len(samples) > self.sound.window_samples
        ):
            raise DataError("snapshot: damaged ('samples')")
        if type(skip) is not int or not 0 <= skip <= self.sound.hop_samples:
            raise DataError("snapshot: damaged ('skip')")


def _numbers(place: str, values: Any, dtype: Any) -> Array:
    """Return an array of finite numbers. Raises ``DataError``."""
    try:
        array = np.asarray(values, dtype)
    except (TypeError, ValueError) as error:
        raise DataError(f"{place}: not numbers ({error})") from None
    if not np.isfinite(array).all():
        raise DataError(f"{place}: holds a number that is not finite")
    return array
