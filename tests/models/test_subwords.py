"""Vectors of n-grams: their mean is added to the words, and padding and company change nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seriatim.encoding.subwords import hashed_grams
from seriatim.models.classifier import InputSize, RecurrentClassifier
from seriatim.models.rows import take_rows
from seriatim.models.subwords import SubwordBatch, SubwordVectors
from seriatim.models.tagger import Spellings, TagBatch, Tagger, TagSizes
from seriatim.notation import UNKNOWN
from seriatim.tasks.common.subwords import WordForms
from seriatim.tasks.options import ClassifyOptions, TagOptions

BUCKETS, V = 50, 6
TEXTS = ["the sea is cold", "see", "the seas rose again"]
FORMS = WordForms.of(TEXTS, BUCKETS)
LENGTHS = torch.tensor([4, 1, 4])


def random_vectors(width: int) -> SubwordVectors:
    vectors = SubwordVectors(BUCKETS, width)
    torch.nn.init.normal_(vectors.weight, generator=torch.Generator().manual_seed(0))
    return vectors


def test_mean_of_the_grams_at_each_position() -> None:
    vectors, batch = random_vectors(3), FORMS.batch(np.array([2, 0]))
    result = vectors(batch)
    assert result.shape == (4, 2, 3)
    for row, text in enumerate((TEXTS[2], TEXTS[0])):
        for step, word in enumerate(text.split()):
            expected = vectors.weight[torch.from_numpy(hashed_grams([word], BUCKETS).buckets)].mean(0)
            torch.testing.assert_close(result[step, row], expected)


def test_grams_start_at_zero_and_a_word_without_grams_stays_there() -> None:
    assert not SubwordVectors(BUCKETS, 3)(FORMS.batch(np.array([0, 1]))).any()
    empty = WordForms.of(["", "sea"], BUCKETS).batch(np.array([0, 1]))
    result = random_vectors(3)(empty)
    assert not result[0, 0].any() and result[0, 1].all()


def test_only_grams_of_the_batch_are_trained() -> None:
    vectors, batch = random_vectors(3), FORMS.batch(np.array([1]))
    vectors(batch).sum().backward()
    gradient = vectors.weight.grad
    assert gradient is not None
    trained = torch.nonzero(gradient.any(1)).flatten().tolist()
    assert trained == sorted(set(hashed_grams(["see"], BUCKETS).buckets.tolist()))


def classifier(word_dropout: float = 0.0) -> RecurrentClassifier:
    torch.manual_seed(0)
    options = replace(ClassifyOptions(), hidden=8, dropout=0.0)
    network = RecurrentClassifier(
        options, InputSize(vocabulary=V, subwords=BUCKETS), 3, pool="max", word_dropout=word_dropout
    )
    assert network.subwords is not None
    torch.nn.init.normal_(network.subwords.weight)
    return network.eval()


def test_padding_and_other_rows_change_nothing() -> None:
    network, units = classifier(), torch.randint(V, (4, 3), generator=torch.Generator().manual_seed(1))
    together = network(units, LENGTHS, FORMS.batch(np.arange(3)))
    for row, length in enumerate(LENGTHS.tolist()):
        single = network(units[:length, row : row + 1], LENGTHS[row : row + 1], FORMS.batch(np.array([row])))
        torch.testing.assert_close(single[0], together[row], rtol=1e-5, atol=1e-6)
    others = network(units, LENGTHS, FORMS.batch(np.array([2, 1, 0])))
    assert not torch.allclose(others[0], together[0], atol=1e-3)


def test_word_dropout_keeps_the_grams() -> None:
    network, units = classifier(word_dropout=1.0).train(), torch.ones(4, 3, dtype=torch.long)
    batch = FORMS.batch(np.arange(3))
    dropped = network(units, LENGTHS, batch)
    network.eval()
    torch.testing.assert_close(dropped, network(torch.full_like(units, UNKNOWN), LENGTHS, batch))
    assert not torch.allclose(dropped, network(units, LENGTHS, FORMS.batch(np.array([2, 1, 0]))), atol=1e-3)


@pytest.mark.parametrize("characters", ["birnn", "none"])
def test_rows_of_a_batch_of_sentences_are_cut_with_their_grams(characters: str) -> None:
    torch.manual_seed(0)
    sizes = TagSizes(words=V, characters=5, tags=3, rare=4, subwords=BUCKETS)
    options = replace(TagOptions(), hidden=8)
    network = Tagger(options, sizes, characters=characters, spelling=3, word_dropout=0.5, crf=False).eval()
    assert network.subwords is not None
    torch.nn.init.normal_(network.subwords.weight)
    batch = sentences()
    whole = network.emissions(batch)
    part = take_rows(batch, 1, 3)
    torch.testing.assert_close(network.emissions(part), whole[:, 1:3], rtol=1e-5, atol=1e-6)
    assert isinstance(part.subwords, SubwordBatch) and part.subwords.buckets is batch.subwords.buckets  # type: ignore[union-attr]


def sentences() -> TagBatch:
    draw = torch.Generator().manual_seed(2)
    grams = FORMS.batch(np.arange(3))
    count = len(grams.starts)
    spellings = Spellings(torch.randint(5, (4, count), generator=draw), torch.full((count,), 4), grams.places)
    words = torch.randint(V, (4, 3), generator=draw)
    return TagBatch(words, spellings, LENGTHS, torch.zeros(4, 3, dtype=torch.long), grams)
