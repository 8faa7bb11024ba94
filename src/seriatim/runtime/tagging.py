"""Taggers: a tag for each word of a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.decoding.viterbi import viterbi
from seriatim.encoding.buckets import pad, token_buckets
from seriatim.encoding.labels import Labels
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, RunError, UsageError
from seriatim.models.naive.frequent_tag import MostFrequentTag
from seriatim.models.naive.perceptron import PerceptronTagger
from seriatim.notation import UNKNOWN
from seriatim.runtime.arithmetic import Floats, affine, affine_rows, log_softmax, pool_max
from seriatim.runtime.bodies import read_body
from seriatim.runtime.description import Description
from seriatim.runtime.model import Model, Row, Stream, StreamModel
from seriatim.runtime.naive import load_naive
from seriatim.runtime.recurrent import Recurrent
from seriatim.runtime.state import State
from seriatim.runtime.subwords import read_subwords
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]

BATCH: Final = 64
TOKENS: Final = 8192
LONGEST_SPELLING: Final = 32
"""Characters that are read of a word. Of a longer word, the middle is skipped."""
TAGGERS: Final[Mapping[str, Callable[[int], MostFrequentTag | PerceptronTagger]]] = {
    "most_frequent_tag": MostFrequentTag, "perceptron": PerceptronTagger
}  # fmt: skip
"""The naive models by name."""
READERS: Final = {"none": "none", "birnn": "birnn", "cnn": "cnn"}


@final
class Spelling:
    """The reader of the characters of a word."""

    def __init__(self, network: Description, weights: WeightFile, characters: int) -> None:
        part = network.part("spelling")
        self._type = part.choice("type", READERS)
        width, self.output_size = part.size("embedding_size"), part.size("output_size")
        self.embedding = weights.take("spelling.embedding", characters, width)
        if self._type == "birnn":
            self._layer = Recurrent(part.part("body"), weights, prefix="spelling")
            if self._layer.input_size != width or self._layer.output_size != self.output_size:
                part.refuse("output_size", "the width of the layer")
        else:
            self._window = part.size("window")
            shape = (self.output_size, width, self._window)
            weight = weights.take("spelling.filters.weight", *shape).transpose(0, 2, 1)
            self._weight = np.ascontiguousarray(weight.reshape(self.output_size, -1))
            self._bias = weights.take("spelling.filters.bias", self.output_size)
        part.done()

    def run(self, words: list[Array]) -> Floats:
        """Map the characters of U words to vectors [U, output_size]."""
        padded, lengths = pad(words, 0)
        letters = self.embedding[padded]
        if self._type == "birnn":
            _, carry = self._layer.run(letters, (), lengths)
            return np.concatenate([carry[0][0], carry[0][1]], -1)
        inside = (np.arange(len(padded))[:, None] < lengths)[:, :, None]
        around = self._window // 2
        letters = np.pad(np.where(inside, letters, np.float32(0)), ((around, around), (0, 0), (0, 0)))
        steps = len(letters) - self._window + 1
        taps = np.concatenate([letters[tap : tap + steps] for tap in range(self._window)], -1)
        answers = affine(taps, self._weight, self._bias)[: len(padded)]
        return np.maximum(pool_max(answers, lengths, 1), 0)


@final
class Tagger(StreamModel):
    """A network or the most frequent tag of each word. A row of ``predict`` is a list of words."""

    task: ClassVar[str] = "tag"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        codec = description.part("codec")
        self._words = codec.decoded("words", Vocabulary.from_json)
        self._characters = codec.decoded("characters", Vocabulary.from_json)
        self.tags = codec.decoded("tags", Labels.from_json)
        codec.value("rare")
        self._lowercase = codec.flag("lowercase")
        buckets = codec.size("subwords") if codec.has("subwords") else 0
        codec.done()
        self._ids = {word: index for index, word in enumerate(self._words.tokens)}
        self.crf: tuple[Floats, Floats, Floats] | None = None
        self._naive: MostFrequentTag | PerceptronTagger | None = None
        if not description.has("network"):
            self._naive = description.choice("model", TAGGERS)(len(self.tags))
            load_naive(self._naive, weights)
            return
        network = description.part("network")
        width, count = network.size("embedding_size"), len(self.tags)
        self.embedding = weights.take("embedding", len(self._words), width)
        self._subwords = read_subwords(network, weights, buckets, width)
        if self._subwords is not None:
            self.embedding = self._subwords.added_to(self.embedding, self._words.tokens)
        self.spelling = Spelling(network, weights, len(self._characters)) if network.has("spelling") else None
        width += self.spelling.output_size if self.spelling else 0
        self.body = read_body(network, weights, width)
        self.head = weights.take("head.weight", count, self.body.output_size), weights.take("head.bias", count)
        if network.flag("crf"):
            edges = weights.take("crf.start", count), weights.take("crf.end", count)
            self.crf = weights.take("crf.transitions", count, count), *edges
        network.done()

    @property
    def is_naive(self) -> bool:
        """Whether this is no network."""
        return self._naive is not None

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        sentences = self.checked(rows)
        yield from self.rows_of(sentences, self._tag(sentences))

    def checked(self, rows: Iterable[Any]) -> list[list[str]]:
        """Return the sentences. Raises ``DataError`` for one that is no list of words."""
        return [_checked(f"row {number}", row) for number, row in enumerate(rows, 1)]

    def rows_of(self, sentences: list[list[str]], tagging: Iterable[Array]) -> Iterator[Row]:
        """Yield a row of ``predict`` for each sentence and its tags."""
        for number, (words, tags) in enumerate(zip(sentences, tagging, strict=True), 1):
            yield {"row": number, "words": words, "tags": self.tags.decode(tags.tolist())}

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield one row for each word."""
        for position, (word, tag) in enumerate(zip(row["words"], row["tags"], strict=True), 1):
            yield {"row": row["row"], "position": position, "word": word, "tag": tag}

    def _tag(self, sentences: list[list[str]]) -> list[Array]:
        if self._naive is not None:
            return [self._naive.tag(words) for words in sentences]
        result: list[Array] = [np.zeros(0, np.int64)] * len(sentences)
        for indices, scores, lengths in self.scores(sentences):
            if self.crf is not None:
                tags = viterbi(scores, lengths, *self.crf)[0]
            else:
                tags = [scores[:end, row].argmax(1) for row, end in enumerate(lengths)]
            for index, path in zip(indices, tags, strict=True):
                result[index] = path
        return result

    def log_probabilities(self, sentences: list[list[str]]) -> list[Array]:
        """Return the log-probability of each tag for each word, [T, K] for each sentence. There must be no CRF."""
        if isinstance(self._naive, MostFrequentTag):
            raise RunError("model: most_frequent_tag has no probabilities, which a blend needs")
        if isinstance(self._naive, PerceptronTagger):
            return [self._naive.log_probabilities(words) for words in sentences]
        return [log_softmax(scores) for scores in self._network_scores(sentences)]

    def sentence_scores(self, sentences: list[list[str]]) -> list[Array]:
        """Return the scores [T, K] of each sentence: of the CRF, or log-probabilities if there is none."""
        return self.log_probabilities(sentences) if self.crf is None else self._network_scores(sentences)

    def _network_scores(self, sentences: list[list[str]]) -> list[Array]:
        result: list[Array] = [np.zeros(0)] * len(sentences)
        for indices, scores, lengths in self.scores(sentences):
            for row, (index, end) in enumerate(zip(indices, lengths, strict=True)):
                result[index] = scores[:end, row]
        return result

    def scores(self, sentences: list[list[str]]) -> Iterator[tuple[Array, Floats, Array]]:
        """Yield indices of sentences, their scores [T, B, K] and their lengths."""
        for indices in token_buckets(list(map(len, sentences)), BATCH, TOKENS, seed=None):
            vectors, lengths = pad([self.vectors(sentences[index]) for index in indices], 0)
            states, _ = self.body.run(vectors, (), lengths)
            yield indices, affine(states, *self.head), lengths

    def vectors(self, words: list[str]) -> Floats:
        """Map words to vectors [T, ·]."""
        folded = [word.lower() if self._lowercase else word for word in words]
        ids = np.array([self._ids.get(word, UNKNOWN) for word in folded], np.int64)
        vectors = self.embedding[ids]
        if self._subwords is not None:
            self._subwords.add_to_unknown(vectors, ids, folded)
        if self.spelling is None:
            return vectors
        half = LONGEST_SPELLING // 2
        read = [word if len(word) <= LONGEST_SPELLING else word[:half] + word[-half:] for word in words]
        spellings = [self.spelling.run([self._characters.encode(word)])[0] for word in read]
        return np.concatenate([vectors, np.stack(spellings)], -1)

    def stream(self, *, seed: int | None = None) -> Stream:
        if isinstance(self._naive, PerceptronTagger):
            raise UsageError("stream: the perceptron reads the words after a word too")
        if self._naive is None:
            if not self.body.is_causal:
                return Model.stream(self, seed=seed)
            if self.crf is not None:
                raise UsageError("stream: a CRF chooses the tags at the end of a sentence; train with --no-crf")
        return Stream(self, seed)

    def begin(self, seed: int | None) -> State:
        return State()

    def read_input(self, x: Any) -> Any:
        return _checked("x", [x])[0]

    def advance(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Any]:
        if self._naive is not None:
            for state in states:
                state.position += 1
            return [{"word": word, "tag": self.tags.names[int(self._naive.tag([word])[0])]} for word in inputs]
        scores = self.step_predictions(states, inputs)
        return [self.answer(state, word, own) for state, word, own in zip(states, inputs, scores, strict=True)]

    def answer(self, state: State, x: Any, prediction: Array) -> Row:
        """Return the answer of a stream for the log-probabilities [K] of the tags of a word."""
        return {"word": x, "tag": self.tags.names[int(prediction.argmax())]}

    def step_predictions(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Array]:
        """Change each state by one word, and return the log-probabilities [K] of its tags."""
        for state in states:
            state.position += 1
        x = np.concatenate([self.vectors([word]) for word in inputs])
        output, carries = self.body.step_rows(x, [state.carry for state in states])
        for state, carry in zip(states, carries, strict=True):
            state.carry = carry
        return [log_softmax(row) for row in affine_rows(output, *self.head)]

    def check_state(self, state: State) -> None:
        if state.arrays or state.values or (self._naive is not None and state.carry):
            raise DataError("snapshot: damaged")
        if self._naive is None:
            self.body.check_carry(state.carry)


def _checked(place: str, words: Any) -> list[str]:
    if not isinstance(words, (list, tuple)) or not words or not all(isinstance(word, str) and word for word in words):
        raise DataError(f"{place}: got {words!r:.60}, wanted words that are not empty")
    return list(words)
