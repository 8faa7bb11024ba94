"""flair: `SequenceTagger` with an LSTM in both directions trains on tagged sentences (packed lengths).

`accelerate` is called on the tagger. The embeddings are one-hot, so that no model is downloaded.
"""

from __future__ import annotations

import random

import flair
import torch
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import OneHotEmbeddings
from flair.models import SequenceTagger

PACKAGES = ("flair",)
DISTRIBUTION = "flair"
WORDS = ("a", "dog", "sees", "the", "old", "house", "and", "runs", "home", "with", "some", "green", "birds")


def sentences():
    """80 sentences of unequal length, in which a word has the label L if it is longer than 3 letters, and else S."""
    draw = random.Random(0)
    for _ in range(80):
        sentence = Sentence([draw.choice(WORDS) for _ in range(draw.randint(5, 30))])
        for token in sentence:
            token.add_label("length", "L" if len(token.text) > 3 else "S")
        yield sentence


def prepare(change):
    """Build the tagger and the data, and return the function that is timed."""
    flair.set_seed(1)
    flair.device = torch.device("cpu")
    data = FlairDatapointDataset(list(sentences()))
    corpus = Corpus(data, data, data, sample_missing_splits=False)
    embeddings = OneHotEmbeddings.from_corpus(corpus, min_freq=1, embedding_length=50)
    tagger = SequenceTagger(
        embeddings, corpus.make_label_dictionary("length"), "length", hidden_size=128, use_crf=False,
        use_rnn=True, tag_format="BIO",
    )  # fmt: skip
    change(tagger)
    optimizer = torch.optim.SGD(tagger.parameters(), 1e-4)

    def train():
        tagger.train()
        losses = []
        for first in range(0, 80, 16):
            loss, _ = tagger.forward_loss(data.datapoints[first : first + 16])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return train
