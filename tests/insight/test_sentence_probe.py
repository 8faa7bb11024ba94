"""A probe of a tagger, translator, captioner or model of rolls has the same losses as its model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seriatim.insight.network import measure
from seriatim.insight.probe import roll_probe
from seriatim.insight.sentence_probe import (
    ATTENTION,
    captioner_probe,
    log_marginals,
    tagger_probe,
    translator_probe,
    whole_sentence_probe,
)
from seriatim.models.captioner import Captioner, PictureSize, Views
from seriatim.models.options import ModelOptions
from seriatim.models.roll import RollBatch, RollModel
from seriatim.models.seq2seq import RecurrentSeq2Seq, padded_pairs
from seriatim.models.tagger import Spellings, TagBatch, Tagger, TagSizes
from seriatim.models.transformer_seq2seq import TransformerSeq2Seq
from seriatim.nn.crf import CRF


def options(model: str = "lstm", **others: object) -> ModelOptions:
    torch.manual_seed(0)
    return ModelOptions(model=model, hidden=16, **others)


def sentences(steps: int = 9, rows: int = 4) -> TagBatch:
    words = torch.randint(0, 11, (steps, rows))
    spellings = Spellings(torch.randint(0, 7, (5, 11)), torch.full((11,), 5), words)
    lengths = torch.tensor([steps, steps - 1, steps - 2, steps])
    return TagBatch(words, spellings, lengths, torch.randint(0, 3, (steps, rows)))


def tagger(*, crf: bool = False, **others: object) -> Tagger:
    return Tagger(
        options(**others), TagSizes(11, 7, 3, 6), characters="birnn", spelling=8, word_dropout=0.5, crf=crf
    ).eval()


def test_marginals_are_sums_over_all_taggings() -> None:
    torch.manual_seed(0)
    crf, emissions, lengths = CRF(3), torch.randn(4, 2, 3), torch.tensor([4, 3])
    for row, length in enumerate(lengths.tolist()):
        for step in range(length):
            sums = torch.zeros(3)
            for tags in itertools.product(range(3), repeat=length):
                chosen = torch.tensor(tags)[:, None]
                log_chance = crf(emissions[:length, row : row + 1], chosen, torch.tensor([length]))
                sums[tags[step]] += float(log_chance.detach().exp())
            actual = log_marginals(crf, emissions, lengths, step)[row].detach().exp()
            torch.testing.assert_close(actual, sums, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("crf", [False, True])
def test_tagger_probe_has_the_loss_of_one_word(crf: bool, bidirectional: bool) -> None:
    network, batch = tagger(crf=crf, bidirectional=bidirectional), sentences()
    emissions = network(batch.words, batch.spellings, batch.lengths)
    chances = log_marginals(network.crf, emissions, batch.lengths, 5) if network.crf else emissions[5].log_softmax(-1)
    expected = -chances.gather(1, batch.tags[5][:, None])[:, 0]
    probe = tagger_probe(network, batch, 5)
    assert probe.inputs.shape[:2] == (6, 4)
    torch.testing.assert_close(probe.losses(probe.inputs), expected)
    whole = whole_sentence_probe(network, batch, 5)
    torch.testing.assert_close(whole.losses(whole.inputs), expected)


def test_tagger_probe_keeps_the_words_after_the_tag() -> None:
    """Without the first three words a sentence is another one, with the same end."""
    network, batch = tagger(bidirectional=True), sentences()
    probe = tagger_probe(network, batch, 5)
    places = batch.spellings.places[3:]
    spellings = Spellings(batch.spellings.characters, batch.spellings.lengths, places)
    emissions = network(batch.words[3:], spellings, batch.lengths - 3)
    expected = functional.cross_entropy(emissions[2], batch.tags[5], reduction="none")
    torch.testing.assert_close(probe.losses(probe.inputs[-3:]), expected)


def pairs(steps: int = 7, rows: int = 4) -> tuple[list[np.ndarray], list[np.ndarray]]:
    generator = np.random.default_rng(0)
    sources = [generator.integers(0, 9, steps).astype(np.int32) for _ in range(rows)]
    return sources, [np.append(generator.integers(0, 8, 3 + row), 8).astype(np.int32) for row in range(rows)]


@pytest.mark.parametrize("attention", ["none", "general"])
def test_translator_probe_has_the_mean_loss_of_each_target(attention: str) -> None:
    network = RecurrentSeq2Seq(options(dropout=0.3), 9, 8, attention=attention).eval()
    sources, targets = pairs()
    probe = translator_probe(network, padded_pairs(sources, targets))
    for row in range(4):
        single = padded_pairs(sources[row : row + 1], targets[row : row + 1])
        torch.testing.assert_close(probe.losses(probe.inputs)[row], network.loss(single, ())[0])
        cut = padded_pairs([sources[row][-3:]], targets[row : row + 1])
        torch.testing.assert_close(probe.losses(probe.inputs[-3:])[row], network.loss(cut, ())[0])
    assert probe.shortcut == (ATTENTION if attention == "general" else "")


def test_transformer_translator_has_the_same_loss() -> None:
    network = TransformerSeq2Seq(options("transformer", heads=2), 9, 8).eval()
    sources, targets = pairs()
    probe = translator_probe(network, padded_pairs(sources, targets))
    single = padded_pairs(sources[:1], targets[:1])
    torch.testing.assert_close(probe.losses(probe.inputs)[0], network.loss(single, ())[0])


@pytest.mark.parametrize("peeky", [False, True])
def test_captioner_probe_has_the_loss_of_the_last_unit(peeky: bool) -> None:
    network = Captioner(
        options(), PictureSize(0, 5), 8, filters=4, peeky=peeky, attention="additive"
    ).eval()  # fmt: skip
    views, units = Views(torch.randn(6, 3, 5), torch.tensor([6, 6, 4])), torch.randint(0, 8, (7, 3))
    probe = captioner_probe(network, views, units)
    state, tokens = network.begin(views), torch.full((3,), network.boundary)
    for unit in units:
        log_chances, state, _ = network.step(tokens, state)
        tokens = unit
    expected = functional.nll_loss(log_chances, units[-1], reduction="none")
    torch.testing.assert_close(probe.losses(probe.inputs), expected)
    assert len(measure(probe).layers) == 1


def test_roll_probe_has_the_loss_of_the_last_step() -> None:
    network = RollModel(options("gru"), 6).eval()
    notes = (torch.rand(9, 4, 6) < 0.3).float()
    notes[0] = 0  # the model's own first input
    expected = network.losses(RollBatch(notes[1:], torch.full((4,), 8)))[-1]
    probe = roll_probe(network, notes)
    torch.testing.assert_close(probe.losses(probe.inputs), expected)


def test_words_after_a_tag_have_no_gradient_where_a_tagger_reads_forwards() -> None:
    network, batch = tagger(), sentences()
    whole = whole_sentence_probe(network, batch, 4)
    inputs: Tensor = whole.inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(whole.losses(inputs).sum(), inputs)
    assert not gradient[5:].any() and gradient[4].any()
