"""Probes of models that read whole sentences: taggers, translators, and captioners, which read what they have written.

A tagger's loss is at one word. What comes after this word stays as it is, so the horizons are of the words before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from seriatim.insight.probe import BOTH_DIRECTIONS, Probe, find_body, inputs_of, reading, reads_both_ways
from seriatim.models.captioner import Captioner, Views
from seriatim.models.decoder import NO_TARGET
from seriatim.models.seq2seq import EncoderDecoder, PairBatch, RecurrentSeq2Seq, Sources
from seriatim.models.tagger import TagBatch, Tagger
from seriatim.nn.crf import CRF

ATTENTION = "attention sees each step of the source"


def tagger_probe(model: Tagger, batch: TagBatch, step: int) -> Probe:
    """Make the probe of a tagger for the tag at ``step`` (from 0), which each row of ``batch`` has.

    With a CRF the loss is the negative logarithm of the tag's marginal probability. Embeddings have no dropout.
    """
    vectors, losses = _tagging(model, batch)
    rest = vectors[step + 1 :]

    def of_words_before(inputs: Tensor) -> Tensor:
        removed = step + 1 - len(inputs)
        return losses(torch.cat([inputs, rest]), batch.lengths - removed, step - removed)

    return Probe(find_body(model), vectors[: step + 1], of_words_before)


def whole_sentence_probe(model: Tagger, batch: TagBatch, step: int) -> Probe:
    """The same, with the words after ``step`` among the inputs: for attributions, not for horizons."""
    vectors, losses = _tagging(model, batch)
    return Probe(find_body(model), vectors, lambda inputs: losses(inputs, batch.lengths, step))


def translator_probe(model: EncoderDecoder[PairBatch], batch: PairBatch) -> Probe:
    """Make the probe of a translator for sources of equal length: the mean loss per unit of each target."""
    model.eval()
    body, sources = find_body(model), batch.sources.inputs

    def losses(inputs: Tensor) -> Tensor:
        count, rows = inputs.shape[:2]
        with reading(body, inputs):
            state = model.begin(Sources(sources[:count], torch.full((rows,), count)))
        return _target_losses(model, batch.targets, state)

    whole = Sources(sources, torch.full((sources.shape[1],), len(sources)))
    inputs = inputs_of(body, lambda: model.begin(whole))
    shortcut = BOTH_DIRECTIONS if reads_both_ways(body) else ""
    if not isinstance(model, RecurrentSeq2Seq) or model.decoder.attention is not None:
        shortcut = ATTENTION
    return Probe(body, inputs, losses, shortcut=shortcut)


def captioner_probe(model: Captioner, views: Views, units: Tensor) -> Probe:
    """Make the probe of a captioner's decoder for captions [T, B], a picture each: the last unit is predicted.

    The inputs are what the first recurrent layer reads: the boundary and T - 1 units.
    """
    model.eval()
    decoder, body = model.decoder, find_body(model.decoder)
    with torch.no_grad():
        memory = model.encode(views)
    read = torch.cat([torch.full_like(units[:1], decoder.boundary), units[:-1]])

    def losses(inputs: Tensor) -> Tensor:
        with reading(body, inputs):
            readout, _, _ = decoder(read[: len(inputs)], decoder.start(memory))
        return functional.cross_entropy(decoder.logits(readout[-1]).float(), units[-1], reduction="none")

    return Probe(body, inputs_of(body, lambda: decoder(read, decoder.start(memory))), losses)


def _tagging(model: Tagger, batch: TagBatch) -> tuple[Tensor, Callable[[Tensor, Tensor, int], Tensor]]:
    """The inputs of the body [T, B, C], and the loss by inputs, lengths and the step of the tag."""
    model.eval()
    body = find_body(model)
    vectors = inputs_of(body, lambda: model.emissions(batch))

    def losses(inputs: Tensor, lengths: Tensor, step: int) -> Tensor:
        states, _ = body(inputs, (), lengths)
        emissions = model.output(states).float()
        targets = batch.tags[len(vectors) - len(inputs) :][step]
        if model.crf is None:
            return functional.cross_entropy(emissions[step], targets, reduction="none")
        return functional.nll_loss(log_marginals(model.crf, emissions, lengths, step), targets, reduction="none")

    return vectors, losses


def log_marginals(crf: CRF, emissions: Tensor, lengths: Tensor, step: int) -> Tensor:
    """Return log p(tag at ``step``) [B, K] of a CRF with the scores [T, B, K]: the whole sum with the tag fixed.

    >>> scores = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
    >>> log_marginals(CRF(2), scores, torch.tensor([2]), 1).exp().sum().round().item()
    1.0
    """
    count = emissions.shape[2]
    is_other = ~torch.eye(count, dtype=torch.bool).repeat(emissions.shape[1], 1)  # rows are (sequence, tag)
    repeated = emissions.repeat_interleave(count, 1)
    fixed = torch.cat([repeated[:step], repeated[step].masked_fill(is_other, -torch.inf)[None], repeated[step + 1 :]])
    joint = crf.log_partition(fixed, lengths.repeat_interleave(count)).view(-1, count)
    marginals: Tensor = joint - crf.log_partition(emissions, lengths)[:, None]
    return marginals


def _target_losses(model: EncoderDecoder[Any], targets: Tensor, state: Any) -> Tensor:
    """The mean loss per unit of each target [T, B], from the state before its first unit."""
    losses = []
    tokens = torch.full_like(targets[0], model.boundary)
    for target in targets:
        log_chances, state, _ = model.step(tokens, state)
        losses.append(functional.nll_loss(log_chances, target, ignore_index=NO_TARGET, reduction="none"))
        tokens = target.clamp(min=0)
    counts: Tensor = (targets != NO_TARGET).sum(0)
    total: Tensor = torch.stack(losses).sum(0)
    return total / counts
