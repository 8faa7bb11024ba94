"""Word vectors that embeddings start from: of a file, or trained on the user's own text."""

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
from seriatim.encoding.vectors import Vector, format_vectors, read_vectors, vectors_width
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.models.recurrent import embedding_width
from seriatim.models.word_vectors import ContextBatch, WordVectors
from seriatim.notation import UNKNOWN
from seriatim.storage import write_bytes
from seriatim.tasks.options import TextOptions, TrainOptions
from seriatim.tasks.task import Model, Task, Words

Array = np.ndarray[Any, Any]
OptionsT = TypeVar("OptionsT", bound=TrainOptions)

CBOW = "cbow"
"""The word that stands for vectors trained on the training part."""
WINDOW = 5
NOISE = 256
NOISE_WEIGHT = 5.0
"""Random words that a batch shares, and how many they count as."""
CENTRES = 1024
RATE = 0.2
COMMON = 1e-3
"""Share of a text from which on a word's places are thinned out."""
READ_WORDS = 2_000_000
"""Words to read in all, by as many epochs as that takes …"""
EPOCHS = (3, 30)
"""… within these bounds."""
SPREAD = 0.1
"""Deviation of the numbers of trained vectors: as trained, several times wider, an update of Adam hardly moves them."""


@dataclass(frozen=True)
class Start:
    """What a model's embeddings start from."""

    vectors: Array
    """[V, D] float32."""
    frozen: bool
    note: str

    def put(self, model: Model) -> None:
        """Start the embeddings of ``model``."""
        embeddings = model.embeddings  # type: ignore[attr-defined]
        assert isinstance(embeddings, nn.Embedding)
        with torch.no_grad():
            # An id behind the words' own, such as a decoder's boundary, keeps its start.
            embeddings.weight[: len(self.vectors)].copy_(torch.from_numpy(self.vectors))
        embeddings.weight.requires_grad_(not self.frozen)


def with_vector_width(kind: Task[Any, Any, Any], options: OptionsT) -> OptionsT:
    """Set the embeddings' width to that of the file of ``--vectors``, so that a run needs its file no more.

    Raises ``UsageError`` for another ``--embedding`` or a model without embeddings, ``DataError`` for a file that holds
    no vectors.
    """
    if not isinstance(options, TextOptions):
        return options
    if options.freeze_vectors and options.vectors is None:
        raise UsageError("freeze_vectors: needs --vectors")
    if options.vectors and options.model in set(kind.baselines) - set(kind.neural_baselines):
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


def find_start(options: TrainOptions, words: Words | None) -> Start | None:
    """Read or train the vectors that ``options`` ask for; None when they ask for none.

    Words that are not found, neither as they are nor in lower case, start at random, as wide as those that are.
    Raises ``UsageError`` where no words are read, ``DataError`` when the file holds none of them.
    """
    if not isinstance(options, TextOptions) or options.vectors is None:
        return None
    if words is None:
        raise UsageError(f"vectors: for texts read word by word, not {_instead(options)}")
    if options.vectors == CBOW:
        trained = cbow(words, embedding_width(options), seed=options.seed)
        found = {token: vector for token, vector in zip(words.tokens, trained, strict=True) if vector.any()}
        place = "trained on the training part"
    else:
        found = _from_file(options.vectors, words.tokens)
        place = f"found in {options.vectors}"
    known = [index for index in range(len(words.tokens)) if words.tokens[index] in found and index != UNKNOWN]
    if not known:
        raise DataError(f"{options.vectors}: none of the {len(words.tokens) - 1} words of the vocabulary has a vector")
    vectors = np.stack([found[words.tokens[index]] for index in known])
    draw = np.random.default_rng(options.seed)
    start = draw.normal(0.0, float(vectors.std()), (len(words.tokens), vectors.shape[1])).astype(np.float32)
    start[known] = vectors
    share = len(known) / max(len(words.tokens) - 1, 1)
    return Start(start, options.freeze_vectors, f"vectors: {share:.1%} of the vocabulary {place}")


def _instead(options: TextOptions) -> str:
    return f"--unit {options.unit}" if options.unit != "word" else "numbers"


def _from_file(path: str, tokens: Sequence[str]) -> dict[str, Vector]:
    """Vectors by token; of a token that has none, those of its lower case."""
    stored = read_vectors(path, {form for token in tokens for form in (token, token.lower())})
    return {
        token: stored[form]
        for token in tokens
        for form in (token if token in stored else token.lower(),)
        if form in stored
    }


def cbow(words: Words, width: int, *, seed: int, window: int = WINDOW) -> Array:
    """Train CBOW vectors ``[V, width]`` float32 on the sentences; a row of zeros for what they do not hold.

    As in word2vec: the window around a word reaches 1 to ``window`` words, drawn anew each time, the places of common
    words are thinned out, and noise is drawn by count to the power of 3/4 (Mikolov 2013).
    """
    draw = np.random.default_rng(seed)
    text = _Text.of(words, window)
    epochs = int(np.clip(READ_WORDS // max(int(text.counts.sum()), 1), *EPOCHS))
    model = WordVectors(len(words.tokens), width, NOISE_WEIGHT, torch.Generator().manual_seed(seed))
    steps = epochs * float(text.counts @ text.kept) / CENTRES  # about: places are kept by chance
    batches = (batch for _ in range(epochs) for batch in text.batches(draw, window))
    for number, batch in enumerate(batches):
        model.step(batch, RATE * max(1.0 - number / steps, 0.01))
    vectors = model.vectors.numpy()
    vectors[text.counts == 0] = 0.0
    scale = float(vectors[text.counts > 0].std()) if text.counts.any() else 0.0
    return vectors * np.float32(SPREAD / scale) if scale else vectors


@dataclass(frozen=True)
class _Text:
    """Sentences one after another, with a window's width of ``UNKNOWN`` between them."""

    ids: Array
    counts: Array
    """[V] of each word, 0 of ``UNKNOWN``."""
    kept: Array
    """[V] chance of a place of each word to be read."""

    @classmethod
    def of(cls, words: Words, window: int) -> _Text:
        gap = np.full(window, UNKNOWN)
        parts = (part for sentence in words.sentences for part in (sentence, gap))
        ids = np.concatenate([gap, *parts]).astype(np.int64)
        counts = np.bincount(ids, minlength=len(words.tokens))
        counts[UNKNOWN] = 0
        rarity = COMMON * counts.sum() / np.maximum(counts, 1)
        return cls(ids, counts, np.minimum(np.sqrt(rarity) + rarity, 1.0))

    def batches(self, draw: np.random.Generator, window: int) -> Iterator[ContextBatch]:
        """One pass over the words in random order."""
        ids = self.ids[(draw.random(len(self.ids)) < self.kept[self.ids]) | (self.ids == UNKNOWN)]
        noise = np.cumsum(self.counts**0.75)
        offsets = np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)])
        places = np.flatnonzero(ids)
        draw.shuffle(places)
        for start in range(0, len(places), CENTRES):
            here = places[start : start + CENTRES, None]
            reach = draw.integers(1, window + 1, here.shape)
            contexts = np.where(np.abs(offsets) <= reach, ids[here + offsets], UNKNOWN)
            drawn = np.searchsorted(noise, draw.random(NOISE) * noise[-1], side="right")
            yield ContextBatch(*(torch.from_numpy(part) for part in (contexts, ids[here[:, 0]], drawn)))


def train_vectors(
    data: object,
    file: str | Path,
    *,
    width: int = 100,
    vocab_size: int | None = None,
    window: int = WINDOW,
    seed: int = 0,
) -> int:
    """Train CBOW word vectors (Mikolov 2013) on texts and write them to ``file`` as word2vec text.

    ``data`` is a text file, several, or texts in a list, a line being a sentence and words what stands between white
    space; ``file`` serves as ``--vectors`` of every task that reads words. Returns how many words it holds.

        seriatim.train_vectors("reviews.txt", "vectors.txt", width=100)
        seriatim.train("classify", "labelled.csv", text="text", label="label", vectors="vectors.txt")
    """
    for name, value, least in (("width", width, 1), ("window", window, 1), ("vocab_size", vocab_size or 2, 2)):
        if value < least:
            raise UsageError(f"{name}: got {value}, wanted at least {least}")
    lines = [line for text in read_documents(data) for line in text.splitlines()]
    vocabulary = Vocabulary.fit(lines, "word", vocab_size, lines=False)
    vectors = cbow(
        Words(vocabulary.tokens, [vocabulary.encode(line) for line in lines]), width, seed=seed, window=window
    )
    content = {token: vectors[index] for index, token in enumerate(vocabulary.tokens) if index != UNKNOWN}
    write_bytes(Path(file), format_vectors(content).encode())
    return len(content)
