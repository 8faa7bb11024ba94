"""Initial word embeddings for ``--vectors``: read from a file, or trained on the user's own text.

``encoding/vectors.py`` reads and writes files of vectors, ``models/word_vectors.py`` is the CBOW network, and this file
connects both with the tasks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from seriatim.data.documents import read_documents
from seriatim.data.files import split_lines
from seriatim.encoding.unit_choice import AUTO
from seriatim.encoding.vectors import Vector, format_vectors, read_vectors, vectors_width
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.models.recurrent import embedding_width
from seriatim.models.word_vectors import ContextBatch, WordVectors
from seriatim.notation import UNKNOWN
from seriatim.percent import percent
from seriatim.storage import write_bytes
from seriatim.tasks.options import TextOptions, TrainOptions
from seriatim.tasks.task import Model, Task, WordCorpus

Array = np.ndarray[Any, Any]
OptionsT = TypeVar("OptionsT", bound=TrainOptions)

CBOW = "cbow"
"""The value of ``--vectors`` that asks for vectors trained on the training part."""
WINDOW = 5
NOISE_WORDS = 256
NOISE_WEIGHT = 5.0
"""A batch shares ``NOISE_WORDS`` random words, which together count as ``NOISE_WEIGHT`` words."""
CENTRES = 1024
"""Words per batch whose context is read."""
LEARNING_RATE = 0.2
FREQUENT = 1e-3
"""Words above this share of the text are read less often."""
READ_WORDS = 2_000_000
"""The number of epochs is chosen so that about this many words are read …"""
EPOCHS = (3, 30)
"""… within these bounds."""
DEVIATION = 0.1
"""Trained vectors are scaled to this deviation. Unscaled, they are so large that Adam's updates hardly change them."""


@dataclass(frozen=True)
class InitialVectors:
    """Initial values of a model's embeddings."""

    vectors: Array
    """[V, D] float32."""
    is_frozen: bool
    note: str

    def copy_to(self, model: Model) -> None:
        """Copy the vectors into the embeddings of ``model``."""
        embeddings = model.embeddings  # type: ignore[attr-defined]
        assert isinstance(embeddings, nn.Embedding)
        with torch.no_grad():
            # Ids above the words, such as a decoder's boundary, keep their values.
            embeddings.weight[: len(self.vectors)].copy_(torch.from_numpy(self.vectors))
        embeddings.weight.requires_grad_(not self.is_frozen)


def with_vector_width(task: Task[Any, Any, Any], options: OptionsT) -> OptionsT:
    """Set ``--embedding`` to the width of the vectors in ``--vectors``, so that a saved run does not need their file.

    Raises ``UsageError`` for another ``--embedding`` or a model without embeddings, ``DataError`` for a file without
    vectors.
    """
    if not isinstance(options, TextOptions):
        return options
    if options.freeze_vectors and options.vectors is None:
        raise UsageError("freeze_vectors: needs --vectors")
    if options.vectors and options.model in set(task.baselines) - set(task.neural_baselines):
        raise UsageError(f"vectors: for networks, not {options.model}")
    if options.vectors is None or options.vectors == CBOW:
        return options
    width = vectors_width(options.vectors)
    if options.embedding not in (None, width):
        raise UsageError(
            f"embedding: got {options.embedding}, but the vectors of {options.vectors} have {width} numbers"
        )
    file = str(Path(options.vectors).absolute())
    return dataclasses.replace(options, embedding=width, vectors=file)


def initial_vectors(options: TrainOptions, words: WordCorpus | None) -> InitialVectors | None:
    """Read or train the vectors that ``options`` ask for, or return None if they ask for none.

    A word is looked up as it is written, then in lower case. Words without a vector get random values of the same
    deviation. Raises ``UsageError`` if the model reads no words, ``DataError`` if no word has a vector.
    """
    if not isinstance(options, TextOptions) or options.vectors is None:
        return None
    if words is None:
        raise UsageError(f"vectors: for texts read word by word, not {_other_input(options)}")
    if options.vectors == CBOW:
        trained = cbow(words, embedding_width(options), seed=options.seed)
        word_vectors = {token: vector for token, vector in zip(words.tokens, trained, strict=True) if vector.any()}
        origin = "trained on the training part"
    else:
        word_vectors = _from_file(options.vectors, words.tokens)
        origin = f"found in {options.vectors}"
    known = [index for index in range(len(words.tokens)) if words.tokens[index] in word_vectors and index != UNKNOWN]
    if not known:
        raise DataError(f"{options.vectors}: none of the {len(words.tokens) - 1} words of the vocabulary has a vector")
    known_vectors = np.stack([word_vectors[words.tokens[index]] for index in known])
    generator = np.random.default_rng(options.seed)
    shape = len(words.tokens), known_vectors.shape[1]
    vectors = generator.normal(0.0, float(known_vectors.std()), shape).astype(np.float32)
    vectors[known] = known_vectors
    share = len(known) / max(len(words.tokens) - 1, 1)
    return InitialVectors(vectors, options.freeze_vectors, f"vectors: {percent(share, 1)} of the vocabulary {origin}")


def _other_input(options: TextOptions) -> str:
    """Name the input of a model that reads no words."""
    return f"--unit {options.unit}" if options.unit not in ("word", AUTO) else "numbers"


def _from_file(path: str, tokens: Sequence[str]) -> dict[str, Vector]:
    """Return the vector of each token, or of its lower case, if the file contains one."""
    stored = read_vectors(path, {form for token in tokens for form in (token, token.lower())})
    return {
        token: stored[form]
        for token in tokens
        for form in (token if token in stored else token.lower(),)
        if form in stored
    }


def cbow(words: WordCorpus, width: int, *, seed: int, window: int = WINDOW) -> Array:
    """Train CBOW vectors ``[V, width]`` float32 on the sentences. Words that do not occur get a row of zeros.

    As in word2vec (Mikolov 2013), the window around a word has a random size of 1 to ``window`` words, frequent words
    are read less often, and noise words are drawn in proportion to their count to the power of 3/4.
    """
    generator = np.random.default_rng(seed)
    text = _Text.of(words, window)
    epochs = int(np.clip(READ_WORDS // max(int(text.counts.sum()), 1), *EPOCHS))
    model = WordVectors(len(words.tokens), width, NOISE_WEIGHT, torch.Generator().manual_seed(seed))
    steps = epochs * float(text.counts @ text.read_chance) / CENTRES  # an estimate, because words are skipped at random
    batches = (batch for _ in range(epochs) for batch in text.batches(generator, window))
    for number, batch in enumerate(batches):
        model.step(batch, LEARNING_RATE * max(1.0 - number / steps, 0.01))
    vectors = model.vectors.numpy()
    vectors[text.counts == 0] = 0.0
    scale = float(vectors[text.counts > 0].std()) if text.counts.any() else 0.0
    return vectors * np.float32(DEVIATION / scale) if scale else vectors


@dataclass(frozen=True)
class _Text:
    """All sentences in one array, separated by ``window`` times ``UNKNOWN``."""

    ids: Array
    counts: Array
    """[V]: how often each word occurs; 0 for ``UNKNOWN``."""
    read_chance: Array
    """[V]: the probability that an occurrence of each word is read."""

    @classmethod
    def of(cls, words: WordCorpus, window: int) -> _Text:
        gap = np.full(window, UNKNOWN)
        parts = (part for sentence in words.sentences for part in (sentence, gap))
        ids = np.concatenate([gap, *parts]).astype(np.int64)
        counts = np.bincount(ids, minlength=len(words.tokens))
        counts[UNKNOWN] = 0
        rarity = FREQUENT * counts.sum() / np.maximum(counts, 1)
        return cls(ids, counts, np.minimum(np.sqrt(rarity) + rarity, 1.0))

    def batches(self, generator: np.random.Generator, window: int) -> Iterator[ContextBatch]:
        """Yield the batches of one epoch, with the words in random order."""
        ids = self.ids[(generator.random(len(self.ids)) < self.read_chance[self.ids]) | (self.ids == UNKNOWN)]
        noise = np.cumsum(self.counts**0.75)
        offsets = np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)])
        positions = np.flatnonzero(ids)
        generator.shuffle(positions)
        for start in range(0, len(positions), CENTRES):
            centres = positions[start : start + CENTRES, None]
            sizes = generator.integers(1, window + 1, centres.shape)
            contexts = np.where(np.abs(offsets) <= sizes, ids[centres + offsets], UNKNOWN)
            noise_words = np.searchsorted(noise, generator.random(NOISE_WORDS) * noise[-1], side="right")
            yield ContextBatch(*(torch.from_numpy(array) for array in (contexts, ids[centres[:, 0]], noise_words)))


def train_vectors(
    data: object,
    file: str | Path,
    *,
    width: int = 100,
    vocab_size: int | None = None,
    window: int = WINDOW,
    seed: int = 0,
) -> int:
    """Train CBOW word vectors (Mikolov 2013) on texts, and write them to ``file`` as word2vec text.

    ``data`` is a text file, several files, or a list of texts. Each line is a sentence, and white space separates its
    words. Tasks that read words take ``file`` as their option ``vectors``. Returns the number of words in ``file``.
    Raises ``UsageError`` for a number that is too small, ``DataError`` for data that cannot be read.

    >>> import seriatim, tempfile
    >>> file = tempfile.mkdtemp() + "/vectors.txt"
    >>> seriatim.train_vectors(["the cat sees the dog", "the dog sees the cat"], file, width=4)
    4
    """
    for name, value, minimum in (("width", width, 1), ("window", window, 1), ("vocab_size", vocab_size or 2, 2)):
        if value < minimum:
            raise UsageError(f"{name}: got {value}, wanted at least {minimum}")
    lines = [line for text in read_documents(data) for line in split_lines(text)]
    vocabulary = Vocabulary.fit(lines, "word", vocab_size, lines=False)
    vectors = cbow(
        WordCorpus(vocabulary.tokens, [vocabulary.encode(line) for line in lines]), width, seed=seed, window=window
    )
    content = {token: vectors[index] for index, token in enumerate(vocabulary.tokens) if index != UNKNOWN}
    write_bytes(Path(file), format_vectors(content).encode())
    return len(content)
