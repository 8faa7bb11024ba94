"""Tables of the scores of sentences: their losses and likeliest tags are those of all sequences, one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from seriatim.nn.crf import CRF
from seriatim.tasks.common import score_table as tables
from seriatim.tasks.common.mixture_weights import score_weights
from seriatim.tasks.common.score_table import likeliest_tags, score_table, sentence_losses
from seriatim.tasks.common.tag_codec import Sentences

K = 3
LENGTHS = (2, 4, 1, 3)


def sentences(tags: list[np.ndarray]) -> Sentences:
    words = [np.zeros(len(own), np.int64) for own in tags]
    return Sentences([["word"] * len(own) for own in tags], words, words, [np.array([1])], tags)


def random_sentences(seed: int, lengths: tuple[int, ...] = LENGTHS) -> Sentences:
    draw = np.random.default_rng(seed)
    return sentences([draw.integers(0, K, length) for length in lengths])


def random_table(seed: int, lengths: tuple[int, ...] = LENGTHS) -> np.ndarray:
    draw = np.random.default_rng(seed)
    edges = draw.normal(size=(K, K)), draw.normal(size=K), draw.normal(size=K)
    return score_table([draw.normal(size=(length, K)) for length in lengths], edges)


def path_scores(table: np.ndarray, at: int, length: int) -> dict[tuple[int, ...], float]:
    """The score of each sequence of tags of the sentence whose first word has the row ``at``."""
    transitions, start, end = table[-K - 2 : -2], table[-2], table[-1]
    return {
        path: float(
            start[path[0]]
            + end[path[-1]]
            + sum(table[at + step, tag] for step, tag in enumerate(path))
            + sum(transitions[pair] for pair in itertools.pairwise(path))
        )
        for path in itertools.product(range(K), repeat=length)
    }


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "AT_ONCE", 2)


def test_losses_and_likeliest_tags_are_those_of_all_paths() -> None:
    part, table = random_sentences(0), random_table(1)
    losses = sentence_losses(torch.from_numpy(table), part, CRF(K))
    likeliest = likeliest_tags(table, part.lengths)
    at = 0
    for loss, path, own in zip(losses.tolist(), likeliest, part.tags, strict=True):
        scores = path_scores(table, at, len(own))
        expected = np.logaddexp.reduce(list(scores.values())) - scores[tuple(own.tolist())]
        assert loss == pytest.approx(expected)
        assert tuple(path.tolist()) == max(scores, key=lambda name: scores[name])
        at += len(own)


def test_table_without_edges_is_a_product_of_words() -> None:
    part, logits = random_sentences(0), np.random.default_rng(2).normal(size=(sum(LENGTHS), K))
    log_chances = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    table = score_table(np.split(log_chances, np.cumsum(LENGTHS)[:-1]))
    losses = sentence_losses(torch.from_numpy(table), part, CRF(K)).numpy()
    right = log_chances[np.arange(sum(LENGTHS)), np.concatenate(part.tags)]
    np.testing.assert_allclose(losses, -np.add.reduceat(right, np.cumsum([0, *LENGTHS[:-1]])))


def test_weights_minimise_the_loss() -> None:
    """One table knows the tags, one is noise, and one prefers wrong tags: its weight is at the bound, 0."""
    lengths = (3,) * 60
    part = random_sentences(3, lengths)
    knows, noise, errs = (random_table(seed, lengths) for seed in (4, 5, 6))
    knows[np.arange(180), np.concatenate(part.tags)] += 1.5
    errs[np.arange(180), np.concatenate(part.tags)] -= 1.5
    arrays = np.stack([knows, noise, errs])

    def losses(table: torch.Tensor) -> torch.Tensor:
        return sentence_losses(table, part, CRF(K))

    def loss(weights: np.ndarray) -> float:
        return losses(torch.from_numpy(np.tensordot(weights, arrays, 1))).mean().item()

    best = score_weights(arrays, losses)
    assert best[2] == 0 and best[0] > 0.2
    for number, step in itertools.product(range(2), (-0.05, 0.05)):
        nearby = best.copy()
        nearby[number] = max(nearby[number] + step, 0)
        assert loss(nearby) >= loss(best)
