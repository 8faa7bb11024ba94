"""The averaged perceptron as a tagger (Collins 2002), from the words around a word and the two tags before it.

    (1)  ŷ = argmax_k Σ_f w_{f,k}                         over the features f of a word
    (2)  w_{f,y} += 1,  w_{f,ŷ} −= 1                      if ŷ is not the right tag y
    (3)  the weights of the tagger are the mean of w over all words of the training

Tags are chosen from left to right. Features are hashed (Weinberger 2009), so that the table has a fixed size.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np

from seriatim.models.naive.deadline import Deadline, joined, shortened

Array = np.ndarray[Any, Any]

ROWS: Final = 1 << 18
"""Rows of the table of weights. Two features may share a row."""
EPOCHS: Final = 5
NO_TAG: Final = -1
"""The tag before the first word."""
FEATURES: Final = 18
"""Features of a word that do not depend on tags; three more do."""
MULTIPLIERS: Final = (2_654_435_761, 40_503, 2_246_822_519)
TEMPERATURES: Final = tuple(2.0 ** (power / 2) for power in range(-20, 5))
"""Candidate factors that turn scores into probabilities of tags; the best on the validation part is used."""
TRAINING_SHARE: Final = 0.875
"""The share of the time for the training. The rest is for the temperature."""


@final
class PerceptronTagger:
    """An averaged perceptron. ``tags`` is the number of tags."""

    def __init__(self, tags: int) -> None:
        self.tags = tags
        self.weights: Array = np.zeros((ROWS, tags), np.float32)
        self.temperature = 1.0

    def fit(
        self,
        sentences: Sequence[tuple[Sequence[str], Array]],
        valid: Sequence[tuple[Sequence[str], Array]],
        *,
        seconds: float = 60.0,
        seed: int = 0,
    ) -> str:
        """Train on (words, tags [T]) pairs for five epochs, or as long as ``seconds`` allow.

        ``valid`` is for the temperature. Returns the part that the time allowed, in words, or an empty text.
        """
        deadline = Deadline(seconds)
        weights, sums = (np.zeros((ROWS, self.tags)) for _ in range(2))
        features: list[Array | None] = [None] * len(sentences)
        draw = np.random.default_rng(seed)
        order = (index for _ in range(EPOCHS) for index in draw.permutation(len(sentences)).tolist())
        step = count = 0
        for index in order:
            count += 1
            words, tags = sentences[index]
            rows_of_words = features[index]
            if rows_of_words is None:
                rows_of_words = features[index] = _features(words)
            second_previous, previous = NO_TAG, NO_TAG
            for row, tag in zip(rows_of_words, tags.tolist(), strict=True):
                step += 1
                rows = np.concatenate([row, _tag_features(previous, second_previous, int(row[0]))])
                guess = int(weights[rows].sum(0).argmax())
                if guess != tag:
                    weights[rows, tag] += 1
                    weights[rows, guess] -= 1
                    sums[rows, tag] += step
                    sums[rows, guess] -= step
                second_previous, previous = previous, guess
            if deadline.has_passed(TRAINING_SHARE):
                break
        self.weights = (weights - sums / (step + 1)).astype(np.float32)  # (3)
        scored = self._choose_temperature(valid, deadline, draw)
        is_cut = count < EPOCHS * len(sentences)
        return joined(
            f"{count / len(sentences):.1f} of {EPOCHS} epochs" if is_cut else "",
            shortened(scored, len(valid), "validation sentences"),
        )

    def _choose_temperature(
        self, valid: Sequence[tuple[Sequence[str], Array]], deadline: Deadline, draw: np.random.Generator
    ) -> int:
        """Choose the temperature by the log-loss of the validation part, and return the number of sentences read.

        They are all, or as many as can be scored until ``deadline``, but at least one.
        """
        scored: dict[int, Array] = {}
        for index in draw.permutation(len(valid)).tolist():
            scored[index] = self._scores(valid[index][0])
            if deadline.has_passed():
                break
        if not scored:
            return 0
        read = sorted(scored)
        scores = np.concatenate([scored[index] for index in read])
        tags = np.concatenate([valid[index][1] for index in read])
        is_known = tags < self.tags
        scores, tags = scores[is_known], tags[is_known]
        if len(tags):
            rows = np.arange(len(tags))
            losses = {value: -float(_log_softmax(value * scores)[rows, tags].mean()) for value in TEMPERATURES}
            self.temperature = min(losses, key=lambda value: losses[value])
        return len(scored)

    def tag(self, words: Sequence[str]) -> Array:
        """Return the tag of each word, [T] int64."""
        result: Array = self._scores(words).argmax(1)
        return result

    def log_probabilities(self, words: Sequence[str]) -> Array:
        """Return the log-probability of each tag for each word, float64 [T, K], after the tags chosen before it."""
        return _log_softmax(self.temperature * self._scores(words))

    def _scores(self, words: Sequence[str]) -> Array:
        """Return the sums of (1), float64 [T, K]."""
        scores = np.empty((len(words), self.tags))
        second_previous, previous = NO_TAG, NO_TAG
        for position, row in enumerate(_features(words)):
            rows = np.concatenate([row, _tag_features(previous, second_previous, int(row[0]))])
            scores[position] = self.weights[rows].sum(0)
            second_previous, previous = previous, int(scores[position].argmax())
        return scores

    def state_dict(self) -> dict[str, Array]:
        """Return the rows of the table that are not 0, their numbers, and the temperature."""
        rows = np.flatnonzero(self.weights.any(1))
        return {"rows": rows, "weights": self.weights[rows], "temperature": np.array([self.temperature])}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it has other tags or rows."""
        rows, weights = state["rows"], state["weights"]
        if weights.shape != (len(rows), self.tags):
            raise ValueError(f"weights: got {weights.shape}, wanted ({len(rows)}, {self.tags})")
        if len(rows) and not 0 <= rows.min() <= rows.max() < ROWS:
            raise ValueError(f"rows: wanted numbers below {ROWS}")
        self.weights = np.zeros((ROWS, self.tags), np.float32)
        self.weights[rows] = weights
        (self.temperature,) = state["temperature"].tolist()

    @property
    def parameters_count(self) -> int:
        return int(np.count_nonzero(self.weights.any(1))) * self.tags


def _features(words: Sequence[str]) -> Array:
    """Return the rows of the features of each word that do not depend on tags, [T, FEATURES] int64."""
    padded = ["", "", *words, "", ""]
    return np.array([_word_features(padded, position + 2) for position in range(len(words))], np.int64).reshape(
        len(words), FEATURES
    )


def _word_features(words: Sequence[str], at: int) -> list[int]:
    word, low = words[at], words[at].lower()
    shape = "".join(sorted({_letter_shape(letter) for letter in word}))
    names = (
        f"w{word}", f"l{low}", f"s1{low[-1:]}", f"s2{low[-2:]}", f"s3{low[-3:]}", f"s4{low[-4:]}",
        f"p1{word[:1]}", f"p2{low[:2]}", f"p3{low[:3]}", f"f{shape}", f"g{_letter_shape(word[:1])}{at == 2}",
        f"-1{words[at - 1].lower()}", f"-2{words[at - 2].lower()}", f"+1{words[at + 1].lower()}",
        f"+2{words[at + 2].lower()}", f"-s{words[at - 1].lower()[-3:]}", f"+s{words[at + 1].lower()[-3:]}",
        f"-+{words[at - 1].lower()} {words[at + 1].lower()}",
    )  # fmt: skip
    return [zlib.crc32(name.encode(errors="surrogatepass")) % ROWS for name in names]


def _letter_shape(letter: str) -> str:
    return "0" if letter.isdigit() else "A" if letter.isupper() else "a" if letter.isalpha() else letter[:1]


def _tag_features(previous: int, second_previous: int, word: int) -> list[int]:
    """Return the rows of the features: the last tag, the last two tags, the last tag with the word."""
    first, second, third = MULTIPLIERS
    last = (previous + 2) * first
    return [last % ROWS, (last + (second_previous + 2) * second) % ROWS, (last + (word + 1) * third) % ROWS]


def _log_softmax(scores: Array) -> Array:
    result: Array = scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)
    return result
