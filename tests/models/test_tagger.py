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
every_case = pytest.mark.parametrize(
    ("model", "characters", "crf"),
    [
        *((model, "birnn", True) for model in STREAMING),
        ("lstm", "cnn", True),
        ("gru", "none", False),
        ("lstm", "birnn", False),
    ],
)


def make(
    model: str = "lstm", characters: str = "birnn", crf: bool = True, *, word_dropout: float = 0.5, **arguments: Any
) -> Tagger:
    torch.manual_seed(0)
    options = replace(TagOptions(), model=model, hidden=8, **arguments)
    return Tagger(options, SIZES, characters=characters, spelling=3, word_dropout=word_dropout, crf=crf).eval()


def batch() -> TagBatch:
    """Sentences and spellings with junk behind their ends."""
    draw = torch.Generator().manual_seed(2)
    shape = (int(LENGTHS.max()), len(LENGTHS))
    spellings = Spellings(torch.randint(7, (5, 5), generator=draw), SPELT, torch.randint(5, shape, generator=draw))
    tags = torch.randint(4, shape, generator=draw)
    tags[torch.arange(shape[0])[:, None] >= LENGTHS] = NO_TAG
    return TagBatch(torch.randint(9, shape, generator=draw), spellings, LENGTHS, tags)


def scores(network: Tagger, arguments: TagBatch) -> Tensor:
    return network(arguments.words, arguments.spellings, arguments.lengths)


def alone(arguments: TagBatch, row: int) -> TagBatch:
    """One sentence without its padding."""
    here = (slice(int(LENGTHS[row])), slice(row, row + 1))
    spellings = replace(arguments.spellings, places=arguments.spellings.places[here])
    return TagBatch(arguments.words[here], spellings, LENGTHS[row : row + 1], arguments.tags[here])


@every_case
def test_padding_and_other_rows_change_nothing(model: str, characters: str, crf: bool) -> None:
    network, arguments = make(model, characters, crf), batch()
    together = scores(network, arguments)
    assert together.shape == (6, 4, 4)
    loss, tags = network.loss(arguments, ())[0], network.decode(together, LENGTHS)
    losses = []
    for row, length in enumerate(LENGTHS.tolist()):
        single = alone(arguments, row)
        torch.testing.assert_close(scores(network, single)[:, 0], together[:length, row], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(network.decode(scores(network, single), single.lengths)[0], tags[row])
        losses.append(network.loss(single, ())[0] * length)
    torch.testing.assert_close(loss, torch.stack(losses).sum() / LENGTHS.sum(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("characters", SPELLINGS)
def test_spelling_does_not_depend_on_padding(characters: str) -> None:
    network, arguments = make(characters=characters), batch()
    assert network.spelling is not None
    letters = arguments.spellings.characters
    together = network.spelling(letters, SPELT)
    for word, length in enumerate(SPELT.tolist()):
        own = network.spelling(letters[:length, word : word + 1], SPELT[word : word + 1])
        torch.testing.assert_close(own[0], together[word], rtol=1e-5, atol=1e-6)
    changed = letters.clone()
    changed[1, 0] = (changed[1, 0] + 1) % 7
    assert not torch.equal(network.spelling(changed, SPELT)[0], together[0])


@pytest.mark.parametrize(
    ("model", "bidirectional"), [("lstm", True), ("lstm", False), ("cnn", True), ("transformer", True)]
)
def test_tag_depends_on_words_on_both_sides(model: str, bidirectional: bool) -> None:
    network, arguments = make(model, bidirectional=bidirectional), batch()
    changed = arguments.words.clone()
    changed[5, 0] = (changed[5, 0] + 1) % 9
    original, changed_scores = scores(network, arguments), scores(network, replace(arguments, words=changed))
    assert torch.equal(original[4, 0], changed_scores[4, 0]) is not bidirectional
    assert torch.equal(original[:, 1:], changed_scores[:, 1:])


def test_rare_words_are_dropped_only_in_training() -> None:
    network = make()
    words = torch.arange(9).repeat_interleave(400)[:, None]
    assert torch.equal(network._read(words), words)
    network.train()
    is_unknown = network._read(words) == UNKNOWN
    share = is_unknown.view(9, 400).float().mean(1)
    assert share[0] == 1 and not share[1:6].any()
    assert ((share[6:] > 0.4) & (share[6:] < 0.6)).all()


def test_unknown_word_is_trained() -> None:
    network = make(word_dropout=0.9).train()
    arguments = batch()
    words = torch.full_like(arguments.words, 8)
    network.loss(replace(arguments, words=words), ())[0].backward()
    gradient = network.embeddings.weight.grad
    assert gradient is not None and gradient[UNKNOWN].any() and not gradient[1:8].any()


@pytest.mark.parametrize("crf", [True, False])
def test_decoded_tags_are_the_likeliest(crf: bool) -> None:
    network, arguments = make(crf=crf), batch()
    actual = network.decode(scores(network, arguments), LENGTHS)
    best = torch.full_like(arguments.tags, NO_TAG)
    for row, tags in enumerate(actual):
        best[: len(tags), row] = torch.from_numpy(tags)
    emissions = scores(network, arguments)
    least = network.nll(emissions, replace(arguments, tags=best))
    draw = torch.Generator().manual_seed(3)
    for _ in range(50):
        other_tags = torch.where(
            arguments.tags == NO_TAG, NO_TAG, torch.randint(4, arguments.tags.shape, generator=draw)
        )
        assert network.nll(emissions, replace(arguments, tags=other_tags)) >= least


def test_loaded_weights_give_same_output() -> None:
    network, again = make(), make()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    again.load_state_dict(network.state_dict())
    assert torch.equal(scores(again, batch()), scores(network, batch()))
