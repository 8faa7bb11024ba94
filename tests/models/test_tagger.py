"""Laws of taggers: padding, company and order in a batch change nothing; spelling and unknown words do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seriatim.models.options import STREAMING
from seriatim.models.tagger import NO_TAG, SPELLINGS, Spellings, TagBatch, Tagger, TagSizes
from seriatim.notation import UNKNOWN
from seriatim.tasks.options import TagOptions

SIZES = TagSizes(words=9, characters=7, tags=4, rare=6)
LENGTHS = torch.tensor([6, 1, 4, 3])
SPELT = torch.tensor([3, 1, 5, 2, 4])
"""Letters of five different words."""
every = pytest.mark.parametrize(
    ("model", "characters", "crf"),
    [
        *((model, "birnn", True) for model in STREAMING),
        ("lstm", "cnn", True),
        ("gru", "none", False),
        ("lstm", "birnn", False),
    ],
)


def make(
    model: str = "lstm", characters: str = "birnn", crf: bool = True, *, word_dropout: float = 0.5, **given: Any
) -> Tagger:
    torch.manual_seed(0)
    options = replace(TagOptions(), model=model, hidden=8, **given)
    return Tagger(options, SIZES, characters=characters, spelling=3, word_dropout=word_dropout, crf=crf).eval()


def batch() -> TagBatch:
    """Sentences and spellings with junk behind their ends."""
    draw = torch.Generator().manual_seed(2)
    shape = (int(LENGTHS.max()), len(LENGTHS))
    spellings = Spellings(torch.randint(7, (5, 5), generator=draw), SPELT, torch.randint(5, shape, generator=draw))
    tags = torch.randint(4, shape, generator=draw)
    tags[torch.arange(shape[0])[:, None] >= LENGTHS] = NO_TAG
    return TagBatch(torch.randint(9, shape, generator=draw), spellings, LENGTHS, tags)


def scores(network: Tagger, given: TagBatch) -> Tensor:
    return network(given.words, given.spellings, given.lengths)


def alone(given: TagBatch, row: int) -> TagBatch:
    """One sentence without its padding."""
    here = (slice(int(LENGTHS[row])), slice(row, row + 1))
    spellings = replace(given.spellings, places=given.spellings.places[here])
    return TagBatch(given.words[here], spellings, LENGTHS[row : row + 1], given.tags[here])


@every
def test_padding_and_company_change_nothing(model: str, characters: str, crf: bool) -> None:
    network, given = make(model, characters, crf), batch()
    together = scores(network, given)
    assert together.shape == (6, 4, 4)
    loss, tags = network.loss(given, ())[0], network.decode(together, LENGTHS)
    losses = []
    for row, length in enumerate(LENGTHS.tolist()):
        one = alone(given, row)
        torch.testing.assert_close(scores(network, one)[:, 0], together[:length, row], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(network.decode(scores(network, one), one.lengths)[0], tags[row])
        losses.append(network.loss(one, ())[0] * length)
    torch.testing.assert_close(loss, torch.stack(losses).sum() / LENGTHS.sum(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("characters", SPELLINGS)
def test_a_spelling_does_not_depend_on_its_padding(characters: str) -> None:
    network, given = make(characters=characters), batch()
    assert network.spelling is not None
    letters = given.spellings.characters
    together = network.spelling(letters, SPELT)
    for word, length in enumerate(SPELT.tolist()):
        own = network.spelling(letters[:length, word : word + 1], SPELT[word : word + 1])
        torch.testing.assert_close(own[0], together[word], rtol=1e-5, atol=1e-6)
    changed = letters.clone()
    changed[1, 0] = (changed[1, 0] + 1) % 7
    assert not torch.equal(network.spelling(changed, SPELT)[0], together[0])


@pytest.mark.parametrize(("model", "both"), [("lstm", True), ("lstm", False), ("cnn", True), ("transformer", True)])
def test_a_tag_depends_on_the_words_on_both_sides(model: str, both: bool) -> None:
    network, given = make(model, bidirectional=both), batch()
    changed = given.words.clone()
    changed[5, 0] = (changed[5, 0] + 1) % 9
    before, after = scores(network, given), scores(network, replace(given, words=changed))
    assert torch.equal(before[4, 0], after[4, 0]) is not both
    assert torch.equal(before[:, 1:], after[:, 1:])


def test_rare_words_are_sometimes_unknown_in_training_alone() -> None:
    network = make()
    words = torch.arange(9).repeat_interleave(400)[:, None]
    assert torch.equal(network._read(words), words)
    network.train()
    gone = network._read(words) == UNKNOWN
    share = gone.view(9, 400).float().mean(1)
    assert share[0] == 1 and not share[1:6].any()
    assert ((share[6:] > 0.4) & (share[6:] < 0.6)).all()


def test_the_unknown_word_is_trained() -> None:
    network = make(word_dropout=0.9).train()
    given = batch()
    words = torch.full_like(given.words, 8)
    network.loss(replace(given, words=words), ())[0].backward()
    gradient = network.embeddings.weight.grad
    assert gradient is not None and gradient[UNKNOWN].any() and not gradient[1:8].any()


@pytest.mark.parametrize("crf", [True, False])
def test_the_decoded_tags_are_the_likeliest(crf: bool) -> None:
    network, given = make(crf=crf), batch()
    found = network.decode(scores(network, given), LENGTHS)
    best = torch.full_like(given.tags, NO_TAG)
    for row, tags in enumerate(found):
        best[: len(tags), row] = torch.from_numpy(tags)
    emissions = scores(network, given)
    least = network.nll(emissions, replace(given, tags=best))
    draw = torch.Generator().manual_seed(3)
    for _ in range(50):
        other = torch.where(given.tags == NO_TAG, NO_TAG, torch.randint(4, given.tags.shape, generator=draw))
        assert network.nll(emissions, replace(given, tags=other)) >= least


def test_it_comes_back_from_its_weights() -> None:
    network, again = make(), make()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    again.load_state_dict(network.state_dict())
    assert torch.equal(scores(again, batch()), scores(network, batch()))
