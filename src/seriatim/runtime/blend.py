"""Blends: mixtures of the predictions of several models of one task.

The description has the weights and the description of each member. Array ``NAME`` of member N is ``N.NAME``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from seriatim.decoding.mixing import MIXERS, SMALLEST_CHANCE
from seriatim.errors import DataError
from seriatim.runtime.description import Description
from seriatim.runtime.forecast import Forecaster
from seriatim.runtime.language import LanguageModel, read_language
from seriatim.runtime.model import Model, Row
from seriatim.runtime.sequences import Classifier, Regressor
from seriatim.runtime.state import State
from seriatim.runtime.tagging import Tagger
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]
Member = TypeVar("Member")
MOST_MEMBERS: Final = 256


@dataclass(frozen=True)
class Mixture(Generic[Member]):
    """The members of a blend and their weights."""

    members: tuple[Member, ...]
    form: str
    weights: Array
    """[M], or [M, H, Q] for quantiles."""

    def mix(self, predictions: Sequence[Array]) -> Array:
        """Mix one array of predictions of each member."""
        with np.errstate(divide="ignore"):
            return MIXERS[self.form](np.stack(predictions), self.weights)


def read_mixture(
    description: Description, weights: WeightFile, read: Callable[[Description, WeightFile], Member], table: bool
) -> Mixture[Member]:
    """Read the members with ``read``. With ``table`` their weights are tables [H, Q], else numbers."""
    blend = description.part("blend")
    form = blend.choice("form", {name: name for name in MIXERS if (name == "quantiles") == table})
    codec = description.value("codec")
    members, shares = [], []
    parts = blend.parts("parts")
    if not 1 <= len(parts) <= MOST_MEMBERS:
        blend.refuse("parts", f"1 to {MOST_MEMBERS} models")
    for number, part in enumerate(parts):
        shares.append(part.decoded("weight", lambda value: np.array(value, np.float64)))
        content = {name: part.value(name, None) for name in ("model", "network", "settings") if part.has(name)}
        part.done()
        member = Description(part.place, {**content, "codec": codec})
        arrays = weights.part(f"{number}.")
        members.append(read(member, arrays))
        member.text("model")
        member.done()
        arrays.done()
    blend.done()
    axes = 2 if table else 0
    has_equal_shapes = len({share.shape for share in shares}) == 1 and shares[0].ndim == axes
    if not has_equal_shapes or not all(np.isfinite(share).all() and (share >= 0).all() for share in shares):
        shown = "tables of equal size with weights" if table else "a weight"
        blend.refuse("parts", f"{shown} of at least 0 for each model")
    return Mixture(tuple(members), form, np.stack(shares))


@final
class LanguageBlend(LanguageModel):
    """A mixture of language models. A state has the states of all members."""

    def __init__(self, description: Description, weights: WeightFile) -> None:
        self._mixture = read_mixture(description, weights, _language_member, False)
        super().__init__(self._mixture.members[0].vocabulary)

    def log_probabilities(self, units: Array) -> Array:
        return self._mixture.mix([member.log_probabilities(units) for member in self._mixture.members])

    def read_units(self, states: Sequence[State], units: Sequence[int]) -> None:
        for number, member in enumerate(self._mixture.members):
            parts = [state.part(number) for state in states]
            member.read_units(parts, units)
            for state, part in zip(states, parts, strict=True):
                state.set_part(number, part)
        for state in states:
            state.position += 1

    def next_scores(self, states: Sequence[State]) -> list[Array]:
        scores = [
            member.next_scores([state.part(number) for state in states])
            for number, member in enumerate(self._mixture.members)
        ]
        return [self._mixture.mix(row) for row in zip(*scores, strict=True)]

    def check_context(self, state: State) -> None:
        known = set()
        for number, member in enumerate(self._mixture.members):
            part = state.part(number)
            member.check_context(part)
            known |= {f"{number}.{name}" for name in (*part.arrays, *(f"carry.{n}" for n in range(len(part.carry))))}
        if state.carry or set(state.arrays) != known:
            raise DataError("snapshot: damaged (arrays of no member)")


@final
class ClassifierBlend(Model):
    """A mixture of classifiers."""

    task: ClassVar[str] = "classify"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        self._mixture = read_mixture(description, weights, Classifier, False)
        self.inputs = self._mixture.members[0].inputs

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        first = self._mixture.members[0]
        sequences, raw = first.encode(rows)
        for number, chances in enumerate(self.chances(sequences, raw), 1):
            yield {"row": number, **first.class_row(chances)}

    def chances(self, sequences: list[Array], raw: Sequence[Any]) -> Array:
        """Return the probability of each class for each encoded sequence, [N, K]; ``raw`` are the same sequences."""
        chances = [member.chances(sequences, raw) for member in self._mixture.members]
        return np.exp(self._mixture.mix([np.log(np.maximum(part, SMALLEST_CHANCE)) for part in chances]))


@final
class RegressorBlend(Model):
    """A mixture of regressions."""

    task: ClassVar[str] = "regress"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        self._mixture = read_mixture(description, weights, Regressor, True)
        self.inputs = self._mixture.members[0].inputs
        _check_table(description, self._mixture.weights, (1, 4))

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        yield from self._mixture.members[0].rows_of(rows, self.predictions)

    def predictions(self, sequences: list[Array], raw: Sequence[Any]) -> Array:
        """Return mean and quantiles [N, 1 + Q] of encoded sequences, in the data's units. ``raw`` are their texts."""
        parts = [member.predictions(sequences, raw)[:, None] for member in self._mixture.members]
        mixed = self._mixture.mix(parts)[:, 0]
        return np.concatenate([mixed[:, :1], np.sort(mixed[:, 1:], 1)], 1)


@final
class ForecasterBlend(Model):
    """A mixture of forecasters."""

    task: ClassVar[str] = "forecast"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        self._mixture = read_mixture(description, weights, Forecaster, True)
        first = self._mixture.members[0]
        if any(member.horizon != first.horizon for member in self._mixture.members):
            description.refuse("blend", "members of one horizon")
        _check_table(description, self._mixture.weights, (first.horizon, 3))
        self.targets, self.covariates, self.horizon = first.targets, first.covariates, first.horizon
        self.lookback = max(member.lookback for member in self._mixture.members)

    def forecast(self, history: Any, *, id: str | None = None) -> Row:
        """Return the quantiles of the steps after ``history`` [T, C]; see ``Forecaster.forecast``."""
        return next(self.predict([history if id is None else (id, history)]))

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        first = self._mixture.members[0]
        series = first.histories(rows)
        parts = (member.quantiles(series) for member in self._mixture.members)
        mixed = (self._mixture.mix([part[None] for part in row])[0] for row in zip(*parts, strict=True))
        yield from first.rows_of(series, (np.sort(quantiles, -1) for quantiles in mixed))

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield one row for each step."""
        yield from self._mixture.members[0].csv_rows(row)


@final
class TaggerBlend(Model):
    """A mixture of taggers."""

    task: ClassVar[str] = "tag"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        self._mixture = read_mixture(description, weights, Tagger, False)
        if any(member.crf is not None for member in self._mixture.members if not member.is_naive):
            description.refuse("blend", "members without a CRF")

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        sentences = self._mixture.members[0].checked(rows)
        parts = [member.log_probabilities(sentences) for member in self._mixture.members]
        tags = [self._mixture.mix(sentence).argmax(1) for sentence in zip(*parts, strict=True)]
        yield from self._mixture.members[0].rows_of(sentences, tags)

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield one row for each word."""
        yield from self._mixture.members[0].csv_rows(row)


BLENDS: Final[Mapping[str, Callable[[Description, WeightFile], Model]]] = {
    "language": LanguageBlend, "classify": ClassifierBlend, "regress": RegressorBlend, "forecast": ForecasterBlend,
    "tag": TaggerBlend,
}  # fmt: skip
"""The blends by task."""


def read_blend(description: Description, weights: WeightFile) -> Model:
    """Read the blend of a task."""
    return description.choice("task", BLENDS)(description, weights)


def _language_member(description: Description, weights: WeightFile) -> LanguageModel:
    model = read_language(description, weights)
    if not isinstance(model, LanguageModel):
        description.refuse("codec", "units of text")
        raise AssertionError
    return model


def _check_table(description: Description, weights: Array, shape: tuple[int, int]) -> None:
    if weights.shape[1:] != shape:
        description.refuse("blend", f"tables of {list(shape)} weights")
