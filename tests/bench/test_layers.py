"""Workloads against ``torch.nn``: what is compared is the same on both sides, and what it costs is counted right."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from seriatim.bench import layers as bench
from seriatim.bench.layers import Workload, contestants, default_threads, side, using_threads
from seriatim.errors import UsageError


class Watched(nn.Module):
    """A layer that remembers what it was given, and its weights at that time."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.GRU(3, 4)
        self.seen: list[object] = []
        self.weights: list[float] = []
        self.gradients: list[bool] = []

    def forward(self, given: torch.Tensor | PackedSequence):
        self.seen.append(given)
        self.weights.append(float(self.inner.weight_hh_l0.detach().abs().sum()))
        self.gradients.append(torch.is_grad_enabled())
        return self.inner(given)


def test_a_training_step_leaves_every_gradient_and_changes_the_weights():
    layer = Watched()
    step = side(layer, Workload("gru", 5, 2, 3, 4))
    for _ in range(3):
        assert step.prepare is not None
        step.prepare()
        assert all(weight.grad is None for weight in layer.parameters())
        step.run()
        assert all(weight.grad is not None for weight in layer.parameters())
        assert layer.seen[-1].grad is not None
    assert len(set(layer.weights[-3:])) == 3


def test_inference_needs_no_graph_and_is_not_prepared():
    layer = Watched()
    step = side(layer, Workload("gru", 5, 2, 3, 4, mode="infer"))
    step.run()
    assert step.prepare is None and layer.gradients == [False]


def test_lengths_are_packed_and_lie_between_a_quarter_and_all():
    layer = Watched()
    work = Workload("gru", 40, 50, 3, 4, lengths=True)
    step = side(layer, work)
    step.prepare()
    step.run()
    packed = layer.seen[-1]
    assert isinstance(packed, PackedSequence) and packed.data.grad is not None
    lengths = work.row_lengths()
    assert int(packed.batch_sizes.sum()) == int(lengths.sum())
    assert 10 <= int(lengths.min()) < 20 and 35 < int(lengths.max()) <= 40


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_both_sides_compute_the_same(cell, monkeypatch):
    made: list[nn.Module] = []

    def keep(layer: nn.Module, work: Workload):
        made.append(layer)
        return bench.Side(lambda: None)

    monkeypatch.setattr(bench, "side", keep)
    contestants(Workload(cell, 6, 2, 3, 4))
    x = torch.randn(6, 2, 3)
    ours, theirs = (layer(x)[0] for layer in made)
    # float32: rounding of a few sums of less than 10 terms.
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_operations():
    # 4 gates × 5 units × (3 + 5) products of two operations, 7 steps of 2 rows; three times that with backward.
    assert Workload("lstm", 7, 2, 3, 5, mode="infer").operations() == 2 * 4 * 5 * 8 * 14
    assert Workload("lstm", 7, 2, 3, 5).operations() == 3 * 2 * 4 * 5 * 8 * 14


def test_threads_are_given_back():
    before = default_threads()
    with pytest.raises(RuntimeError), using_threads(before + 1):
        assert default_threads() == before + 1
        raise RuntimeError
    assert default_threads() == before


def test_what_does_not_exist_is_refused():
    with pytest.raises(UsageError, match=r"dtype: 'bf61' is not one of .* \(did you mean 'bf16'\?\)"):
        Workload("lstm", 1, 1, 1, 1, dtype="bf61")


@pytest.mark.parametrize("mode", ["train", "infer"])
@pytest.mark.parametrize("dtype", bench.PRECISIONS)
def test_autocast_is_on_where_it_is_asked_for_alone(dtype, mode, monkeypatch):
    found: list[bool] = []
    call = nn.GRU.forward

    def watched(layer, given):
        found.append(torch.is_autocast_enabled("cpu"))
        return call(layer, given)

    monkeypatch.setattr(nn.GRU, "forward", watched)
    work = Workload("gru", 3, 2, 3, 4, mode=mode, dtype=dtype)
    side(nn.GRU(3, 4).to(bench.PRECISIONS[dtype].dtype), work).run()
    assert set(found) == {dtype == "autocast"}
