"""Laws of classifiers: padding and company change nothing; order matters to all but the bag."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.models.classifier import Bag, InputSize, RecurrentClassifier, SequenceBatch, SequenceClassifier
from seriatim.models.options import CELLS, NETWORKS
from seriatim.nn.pooling import POOLINGS
from seriatim.tasks.options import ClassifyOptions

V, C, K = 9, 3, 4
LENGTHS = torch.tensor([6, 1, 4, 6, 3])
SIZES = {"units": InputSize(vocabulary=V), "channels": InputSize(channels=C)}


def make(kind: str, reads: str, pool: str = "max", bidirectional: bool = False) -> SequenceClassifier:
    torch.manual_seed(0)
    options = replace(ClassifyOptions(), model=kind, hidden=8, layers=2, bidirectional=bidirectional)
    if kind == "bag":
        return Bag(SIZES[reads], 5, K).eval()
    return RecurrentClassifier(options, SIZES[reads], K, pool=pool).eval()


def padded(reads: str) -> torch.Tensor:
    """Sequences with junk behind their ends."""
    draw = torch.Generator().manual_seed(2)
    shape = (int(LENGTHS.max()), len(LENGTHS))
    return torch.randint(V, shape, generator=draw) if reads == "units" else torch.randn(*shape, C, generator=draw)


KINDS = [
    (name, pool, bidirectional)
    for name in NETWORKS
    for pool in POOLINGS
    for bidirectional in ((0, 1) if name in CELLS else (0,))
]
every_case = pytest.mark.parametrize(("kind", "pool", "bidirectional"), [*KINDS, ("bag", "mean", 0)])
either = pytest.mark.parametrize("reads", ["units", "channels"])


@every_case
@either
def test_padding_and_other_rows_change_nothing(kind: str, pool: str, bidirectional: int, reads: str) -> None:
    network, inputs = make(kind, reads, pool, bool(bidirectional)), padded(reads)
    together = network(inputs, LENGTHS)
    assert together.shape == (len(LENGTHS), K)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = network(inputs[:length, row : row + 1], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-5, atol=1e-6)


@every_case
def test_order_of_rows_changes_nothing(kind: str, pool: str, bidirectional: int) -> None:
    network, inputs = make(kind, "units", pool, bool(bidirectional)), padded("units")
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        network(inputs[:, order], LENGTHS[order]), network(inputs, LENGTHS)[order], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["lstm", "bag"])
def test_only_the_bag_ignores_order_of_steps(kind: str) -> None:
    network, inputs = make(kind, "units", "last"), torch.tensor([[1], [2], [3], [4]])
    first, second = (network(x, torch.tensor([4])) for x in (inputs, inputs.flip(0)))
    assert torch.allclose(first, second, rtol=1e-5, atol=1e-6) == (kind == "bag")


@either
def test_loss_is_mean_nll_per_sequence(reads: str) -> None:
    network, inputs, labels = make("gru", reads), padded(reads), torch.tensor([0, 3, 1, 1, 2])
    batch = SequenceBatch(inputs, LENGTHS, labels)
    loss, carry = network.loss(batch, ())
    log_chances = functional.log_softmax(network(inputs, LENGTHS), -1)
    torch.testing.assert_close(loss, -log_chances[torch.arange(5), labels].mean())
    assert carry == ()
    assert batch.units == 20


def test_word_dropout_reads_units_as_unknown_in_training_only() -> None:
    torch.manual_seed(0)
    options = replace(ClassifyOptions(), hidden=8, dropout=0.0)
    network = RecurrentClassifier(options, SIZES["units"], K, pool="max", word_dropout=0.5)
    inputs, unknown = torch.full((6, 5), 4), torch.zeros(6, 5, dtype=torch.int64)
    plain = network.eval()(inputs, LENGTHS)
    assert torch.equal(plain, network(inputs, LENGTHS))
    network.train()
    first, second = network(inputs, LENGTHS), network(inputs, LENGTHS)
    assert not torch.equal(first, second)
    network.word_dropout = 1.0
    torch.testing.assert_close(network(inputs, LENGTHS), network(unknown, LENGTHS))
    with pytest.raises(UsageError, match="word_dropout: for texts"):
        RecurrentClassifier(options, SIZES["channels"], K, pool="max", word_dropout=0.5)
