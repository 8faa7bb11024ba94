"""Layer timing: both layers do the same work, and its operations are counted correctly."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from seriatim.bench import layer_timing as bench
from seriatim.bench.layer_timing import Workload, default_threads, layer_sides, side, using_threads
from seriatim.errors import UsageError


class RecordingLayer(nn.Module):
    """A layer that records its inputs and its weights at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.GRU(3, 4)
        self.seen: list[object] = []
        self.weights: list[float] = []
        self.gradients: list[bool] = []

    def forward(self, inputs: torch.Tensor | PackedSequence):
        self.seen.append(inputs)
        self.weights.append(float(self.inner.weight_hh_l0.detach().abs().sum()))
        self.gradients.append(torch.is_grad_enabled())
        return self.inner(inputs)


def test_training_step_computes_all_gradients_and_changes_weights():
    layer = RecordingLayer()
    step = side(layer, Workload("gru", 5, 2, 3, 4))
    for _ in range(3):
        assert step.prepare is not None
        step.prepare()
        assert all(weight.grad is None for weight in layer.parameters())
        step.run()
        assert all(weight.grad is not None for weight in layer.parameters())
        assert layer.seen[-1].grad is not None
    assert len(set(layer.weights[-3:])) == 3


def test_inference_records_no_graph():
    layer = RecordingLayer()
    step = side(layer, Workload("gru", 5, 2, 3, 4, mode="infer"))
    step.run()
    assert step.prepare is None and layer.gradients == [False]


def test_lengths_are_packed_and_between_a_quarter_and_all_steps():
    layer = RecordingLayer()
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
def test_both_layers_compute_the_same(cell, monkeypatch):
    layers: list[nn.Module] = []

    def record(layer: nn.Module, work: Workload):
        layers.append(layer)
        return bench.Side(lambda: None)

    monkeypatch.setattr(bench, "side", record)
    layer_sides(Workload(cell, 6, 2, 3, 4))
    x = torch.randn(6, 2, 3)
    own_output, torch_output = (layer(x)[0] for layer in layers)
    # float32: rounding of a few sums of less than 10 terms.
    torch.testing.assert_close(own_output, torch_output, rtol=1e-5, atol=1e-6)


def test_operation_count():
    # 4 gates × 5 units × (3 + 5) products of two operations, 7 steps of 2 rows; three times that with backward.
    assert Workload("lstm", 7, 2, 3, 5, mode="infer").operations() == 2 * 4 * 5 * 8 * 14
    assert Workload("lstm", 7, 2, 3, 5).operations() == 3 * 2 * 4 * 5 * 8 * 14


def test_using_threads_restores_thread_count():
    previous = default_threads()
    with pytest.raises(RuntimeError), using_threads(previous + 1):
        assert default_threads() == previous + 1
        raise RuntimeError
    assert default_threads() == previous


def test_unknown_dtype_is_refused():
    with pytest.raises(UsageError, match=r"dtype: 'bf61' is not one of .* \(did you mean 'bf16'\?\)"):
        Workload("lstm", 1, 1, 1, 1, dtype="bf61")


@pytest.mark.parametrize("mode", ["train", "infer"])
@pytest.mark.parametrize("dtype", bench.PRECISIONS)
def test_autocast_is_active_only_if_requested(dtype, mode, monkeypatch):
    active: list[bool] = []
    call = nn.GRU.forward

    def recording_forward(layer, inputs):
        active.append(torch.is_autocast_enabled("cpu"))
        return call(layer, inputs)

    monkeypatch.setattr(nn.GRU, "forward", recording_forward)
    work = Workload("gru", 3, 2, 3, 4, mode=mode, dtype=dtype)
    side(nn.GRU(3, 4).to(bench.PRECISIONS[dtype].dtype), work).run()
    assert set(active) == {dtype == "autocast"}
