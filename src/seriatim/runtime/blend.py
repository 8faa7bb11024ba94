"""The mixtures of each task: blends of a network and baselines, and ensembles of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.decoding.mixing import SMALLEST_CHANCE
from seriatim.decoding.viterbi import viterbi
from seriatim.encoding.buckets import pad, token_buckets
from seriatim.runtime.description import Description
from seriatim.runtime.forecast import Forecaster
from seriatim.runtime.histories import History
from seriatim.runtime.language import LanguageModel, read_language
from seriatim.runtime.mixture import MixedStreamModel, Mixture, check_parts, read_mixture
from seriatim.runtime.model import Model, Row, Stream
from seriatim.runtime.roll import RollModel, Rolls
from seriatim.runtime.sequences import Classifier, Regressor
from seriatim.runtime.state import State, generator_of, start_generator
from seriatim.runtime.tagging import BATCH, TOKENS, Tagger
from seriatim.runtime.weights import WeightFile
from seriatim.runtime.writing import Captioner, Translator

Array = NDArray[Any]


@final
class LanguageBlend(LanguageModel):
    """A mixture of language models. A state has the states of all members."""

    def __init__(self, description: Description, weights: WeightFile, is_nested: bool = False) -> None:
        read_nested = None if is_nested else partial(LanguageBlend, is_nested=True)
        self._mixture = read_mixture(description, weights, _language_member, False, read_nested)
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
        parts = []
        for number, member in enumerate(self._mixture.members):
            part = state.part(number)
            member.check_context(part)
            parts.append(part)
        check_parts(state, parts)


@final
class ClassifierBlend(MixedStreamModel):
    """A mixture of classifiers."""

    task: ClassVar[str] = "classify"

    def __init__(self, description: Description, weights: WeightFile, is_nested: bool = False) -> None:
        read_nested = None if is_nested else partial(ClassifierBlend, is_nested=True)
        self.mixture: Mixture[Any] = read_mixture(description, weights, Classifier, False, read_nested)
        self.inputs = self.mixture.members[0].inputs

    def encode(self, rows: Iterable[Any]) -> tuple[list[Array], Sequence[Any]]:
        """Return the encoded sequences, and the rows themselves without their ids."""
        encoded: tuple[list[Array], Sequence[Any]] = self.mixture.members[0].encode(rows)
        return encoded

    def class_row(self, chances: Array) -> Row:
        """Return the row of ``predict`` for the probabilities [K] of one sequence."""
        row: Row = self.mixture.members[0].class_row(chances)
        return row

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        for number, chances in enumerate(self.chances(*self.encode(rows)), 1):
            yield {"row": number, **self.class_row(chances)}

    def chances(self, sequences: list[Array], raw: Sequence[Any]) -> Array:
        """Return the probability of each class for each encoded sequence, [N, K]; ``raw`` are the same sequences."""
        return self.mix([member.chances(sequences, raw) for member in self.mixture.members])

    def mix(self, predictions: Sequence[Array]) -> Array:
        """Mix probabilities [..., K] of each member."""
        return np.exp(self.mixture.mix([np.log(np.maximum(part, SMALLEST_CHANCE)) for part in predictions]))


@final
class RegressorBlend(MixedStreamModel):
    """A mixture of regressions."""

    task: ClassVar[str] = "regress"

    def __init__(self, description: Description, weights: WeightFile, is_nested: bool = False) -> None:
        read_nested = None if is_nested else partial(RegressorBlend, is_nested=True)
        self.mixture: Mixture[Any] = read_mixture(description, weights, Regressor, True, read_nested)
        self.inputs = self.mixture.members[0].inputs
        _check_table(description, self.mixture.weights, (1, 4))

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        yield from self.rows_of(rows, self.predictions)

    def rows_of(self, rows: Iterable[Any], predictions: Callable[[list[Array], Sequence[Any]], Array]) -> Iterator[Row]:
        """Yield a row of ``predict`` for each row, or for each step of it."""
        yield from self.mixture.members[0].rows_of(rows, predictions)

    def predictions(self, sequences: list[Array], raw: Sequence[Any]) -> Array:
        """Return mean and quantiles [N, 1 + Q] of encoded sequences, in the data's units. ``raw`` are their texts."""
        return self._mixed([member.predictions(sequences, raw) for member in self.mixture.members])

    def mix(self, predictions: Sequence[Array]) -> Array:
        """Mix the mean and quantiles [1 + Q] of each member."""
        mixed: Array = self._mixed([part[None] for part in predictions])[0]
        return mixed

    def _mixed(self, predictions: Sequence[Array]) -> Array:
        """Mix means and quantiles [N, 1 + Q] of each member."""
        mixed = self.mixture.mix([part[:, None] for part in predictions])[:, 0]
        return np.concatenate([mixed[:, :1], np.sort(mixed[:, 1:], 1)], 1)


@final
class ForecasterBlend(MixedStreamModel):
    """A mixture of forecasters."""

    task: ClassVar[str] = "forecast"

    def __init__(self, description: Description, weights: WeightFile, is_nested: bool = False) -> None:
        read_nested = None if is_nested else partial(ForecasterBlend, is_nested=True)
        self.mixture: Mixture[Any] = read_mixture(description, weights, Forecaster, True, read_nested)
        first = self.mixture.members[0]
        if any(member.horizon != first.horizon for member in self.mixture.members):
            description.refuse("blend", "members of one horizon")
        _check_table(description, self.mixture.weights, (first.horizon, 3))
        self.targets, self.covariates, self.horizon = first.targets, first.covariates, first.horizon
        self.lookback = max(member.lookback for member in self.mixture.members)

    def forecast(self, history: Any, *, id: str | None = None) -> Row:
        """Return the quantiles of the steps after ``history`` [T, C]; see ``Forecaster.forecast``."""
        return next(self.predict([history if id is None else (id, history)]))

    def stream(self, *, id: str | None = None, seed: int | None = None) -> Stream:
        """Begin a stream of the training's series ``id``; see ``Forecaster.stream``."""
        stream = Stream(self, seed)
        for number, member in enumerate(self.mixture.members):
            stream.state.set_part(number, member.stream(id=id, seed=seed).state)
        return stream

    def histories(self, rows: Iterable[Any]) -> list[History]:
        """Return the histories of the rows of ``predict``."""
        histories: list[History] = self.mixture.members[0].histories(rows)
        return histories

    def quantiles(self, series: Sequence[History]) -> Iterator[Array]:
        """Yield the quantiles [horizon, targets, Q] after each history."""
        parts = (member.quantiles(series) for member in self.mixture.members)
        yield from (self.mix(row) for row in zip(*parts, strict=True))

    def mix(self, predictions: Sequence[Array]) -> Array:
        """Mix the quantiles [horizon, targets, Q] of each member."""
        mixed: Array = np.sort(self.mixture.mix([part[None] for part in predictions])[0], -1)
        return mixed

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        series = self.histories(rows)
        yield from self.rows_of(series, self.quantiles(series))

    def rows_of(self, series: Sequence[History], quantiles: Iterable[Array]) -> Iterator[Row]:
        """Yield a row of ``predict`` for the quantiles after each history."""
        yield from self.mixture.members[0].rows_of(series, quantiles)

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield one row for each step."""
        yield from self.mixture.members[0].csv_rows(row)


@final
class TaggerBlend(MixedStreamModel):
    """A mixture of taggers: of the probabilities of tags, or with CRFs of the scores (the form ``scores``).

    In a mixture of scores, a tagger without a CRF has log-probabilities as its scores, and no transitions.
    """

    task: ClassVar[str] = "tag"

    def __init__(self, description: Description, weights: WeightFile, is_nested: bool = False) -> None:
        read_nested = None if is_nested else partial(TaggerBlend, is_nested=True)
        self.mixture: Mixture[Any] = read_mixture(description, weights, Tagger, False, read_nested)
        chains = [member.crf for member in self.mixture.members]
        self.crf: tuple[Array, ...] | None = None
        with_crf = next((chain for chain in chains if chain is not None), None)
        if self.mixture.form == "scores":
            if with_crf is None:
                description.refuse("blend", "a member with a CRF")
                raise AssertionError
            without = tuple(np.zeros_like(part) for part in with_crf)
            edges = zip(*(without if chain is None else chain for chain in chains), strict=True)
            self.crf = tuple(self.mixture.mix(parts) for parts in edges)
        elif with_crf is not None:
            description.refuse("blend", "members without a CRF")

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        sentences = self.checked(rows)
        if self.crf is None:
            tags = [chances.argmax(1) for chances in self.log_probabilities(sentences)]
        else:
            tags = self._likeliest(sentences, self.crf)
        yield from self.rows_of(sentences, tags)

    def checked(self, rows: Iterable[Any]) -> list[list[str]]:
        """Return the sentences. Raises ``DataError`` for one that is no list of words."""
        sentences: list[list[str]] = self.mixture.members[0].checked(rows)
        return sentences

    def rows_of(self, sentences: list[list[str]], tagging: Iterable[Array]) -> Iterator[Row]:
        """Yield a row of ``predict`` for each sentence and its tags."""
        yield from self.mixture.members[0].rows_of(sentences, tagging)

    def log_probabilities(self, sentences: list[list[str]]) -> list[Array]:
        """Return the log-probability of each tag for each word, [T, K] for each sentence. There must be no CRF."""
        parts = [member.log_probabilities(sentences) for member in self.mixture.members]
        return [self.mix(sentence) for sentence in zip(*parts, strict=True)]

    def mix(self, predictions: Sequence[Array]) -> Array:
        """Mix log-probabilities [..., K] of each member."""
        return self.mixture.mix(predictions)

    def sentence_scores(self, sentences: list[list[str]]) -> list[Array]:
        """Return the scores [T, K] of each sentence; without a CRF they are log-probabilities."""
        parts = [member.sentence_scores(sentences) for member in self.mixture.members]
        return [self.mix(sentence) for sentence in zip(*parts, strict=True)]

    def _likeliest(self, sentences: list[list[str]], crf: tuple[Array, ...]) -> list[Array]:
        """Return the likeliest tags of each sentence by the mixed scores."""
        scores = self.sentence_scores(sentences)
        result: list[Array] = [np.zeros(0, np.int64)] * len(sentences)
        transitions, start, end = crf
        for indices in token_buckets(list(map(len, sentences)), BATCH, TOKENS, seed=None):
            padded, lengths = pad([scores[index] for index in indices], 0)
            for index, path in zip(indices, viterbi(padded, lengths, transitions, start, end)[0], strict=True):
                result[index] = path
        return result

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield one row for each word."""
        yield from self.mixture.members[0].csv_rows(row)


@final
class RollBlend(Rolls):
    """A mixture of models of piano rolls, for each note. A state has the states of all members."""

    def __init__(self, description: Description, weights: WeightFile, is_nested: bool = False) -> None:
        read_nested = None if is_nested else partial(RollBlend, is_nested=True)
        self._mixture: Mixture[Any] = read_mixture(description, weights, RollModel, False, read_nested)
        if self._mixture.form != "linear":
            description.refuse("blend", "the form linear")
        self.notes = self._mixture.members[0].notes

    def piece_logits(self, piece: Array) -> Array:
        return self._mixed([member.piece_logits(piece) for member in self._mixture.members])

    def next_logits(self, states: Sequence[State], notes: Sequence[Array]) -> list[Array]:
        logits = []
        for number, member in enumerate(self._mixture.members):
            parts = [state.part(number) for state in states]
            logits.append(member.next_logits(parts, notes))
            for state, part in zip(states, parts, strict=True):
                state.set_part(number, part)
        for state in states:
            state.position += 1
        return [self._mixed(row) for row in zip(*logits, strict=True)]

    def _mixed(self, logits: Sequence[Array]) -> Array:
        """Return the logits of the mixed probabilities."""
        on, off = (self._mixture.mix([-np.logaddexp(0, -sign * own) for own in logits]) for sign in (1, -1))
        mixed: Array = on - off
        return mixed

    def begin(self, seed: int | None) -> State:
        state = State(values={"sampler": start_generator(seed)})
        for number, member in enumerate(self._mixture.members):
            state.set_part(number, member.begin(seed))
        return state

    def check_state(self, state: State) -> None:
        generator_of(state.values.get("sampler"))
        for number, member in enumerate(self._mixture.members):
            member.check_state(state.part(number))


def _read_language_blend(description: Description, weights: WeightFile) -> Model:
    """Read the blend of models of text or of piano rolls."""
    codec = description.value("codec")
    is_roll = isinstance(codec, dict) and codec.get("unit") == "roll"
    return (RollBlend if is_roll else LanguageBlend)(description, weights)


BLENDS: Final[Mapping[str, Callable[[Description, WeightFile], Model]]] = {
    "language": _read_language_blend, "classify": ClassifierBlend, "regress": RegressorBlend,
    "forecast": ForecasterBlend, "tag": TaggerBlend, "translate": Translator, "caption": Captioner,
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
