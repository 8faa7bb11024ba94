"""The predictions of taggers: log-probabilities of the tags of each word, and the tags themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from seriatim.models.naive.frequent_tag import MostFrequentTag
from seriatim.models.naive.perceptron import PerceptronTagger
from seriatim.models.tagger import SentenceTagger, TagBatch
from seriatim.tasks.common.blend import Blend
from seriatim.tasks.common.epochs import Epoch, evaluation_batches
from seriatim.tasks.common.score_table import likeliest_tags, score_table
from seriatim.tasks.common.tag_codec import Sentences

Array = np.ndarray[Any, Any]
AnyTagger = MostFrequentTag | PerceptronTagger | SentenceTagger

EVALUATION_BATCH = 128
EVALUATION_TOKENS = 8192


def decode(model: AnyTagger | Blend, sentences: Sentences) -> list[Array]:
    """Return the predicted tags of each sentence, [T] int64 each."""
    if isinstance(model, Blend):
        if model.form == "scores":
            table = model.mix(model.each(lambda member: scores_of(member.model, sentences)))
            return likeliest_tags(table, sentences.lengths)
        return [chances.argmax(1) for chances in log_probabilities(model, sentences)]
    if not isinstance(model, SentenceTagger):
        return [model.tag(words) for words in sentences.texts]
    model.eval()
    result: list[Array] = [np.zeros(0, np.int64)] * len(sentences)
    with torch.no_grad():
        batches = tag_batches(sentences)
        for indices, batch in zip(batches.order, batches, strict=True):
            scores = model.emissions(batch)
            for index, tags in zip(indices, model.decode(scores, batch.lengths), strict=True):
                result[index] = tags
    return result


def log_probabilities(model: PerceptronTagger | SentenceTagger | Blend, sentences: Sentences) -> list[Array]:
    """Return the log-probability of each tag for each word, [T, K] per sentence. A network must have no CRF."""
    if isinstance(model, Blend):
        parts = [log_probabilities(member.model, sentences) for member in model.members]
        return [model.mix(np.stack(sentence)) for sentence in zip(*parts, strict=True)]
    if isinstance(model, PerceptronTagger):
        return [model.log_probabilities(words) for words in sentences.texts]
    return [np.asarray(torch.log_softmax(torch.from_numpy(logits), -1)) for logits in emissions(model, sentences)]


def emissions(network: SentenceTagger, sentences: Sentences) -> list[Array]:
    """Return the network's score of each tag for each word, float64 [T, K] per sentence."""
    network.eval()
    result: list[Array] = [np.zeros(0)] * len(sentences)
    with torch.no_grad():
        batches = tag_batches(sentences)
        for indices, batch in zip(batches.order, batches, strict=True):
            scores = network.emissions(batch).double().numpy()
            for row, (index, length) in enumerate(zip(indices, batch.lengths.tolist(), strict=True)):
                result[index] = scores[:length, row]
    return result


def scores_of(model: PerceptronTagger | SentenceTagger, sentences: Sentences) -> Array:
    """Return the table of scores of a tagger: of a CRF, or of log-probabilities without transitions."""
    chain = model.chain() if isinstance(model, SentenceTagger) else None
    if isinstance(model, SentenceTagger) and chain is not None:
        transitions, start, end = (
            part.detach().double().numpy() for part in (chain.transitions, chain.start, chain.end)
        )
        return score_table(emissions(model, sentences), (transitions, start, end))
    return score_table(log_probabilities(model, sentences))


def tag_batches(sentences: Sentences) -> Epoch[TagBatch]:
    """Return the batches of an evaluation."""
    return evaluation_batches(sentences, EVALUATION_BATCH, EVALUATION_TOKENS)
