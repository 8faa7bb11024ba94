"""Segments: a window of T steps is ⌈T/S⌉ inputs, and the horizon is decoded from the last state and a position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seriatim.models.forecaster import DirectForecaster, WindowBatch, WindowShape, build_forecaster
from seriatim.models.options import CELLS
from seriatim.models.segments import Segments
from seriatim.notation import QUANTILES
from seriatim.tasks.options import ForecastOptions

B = 3


def make(cell: str = "lstm", *, lookback: int = 11, horizon: int = 7, segment: int = 4) -> DirectForecaster:
    """A forecaster whose head, zero at the start, has drawn weights."""
    torch.manual_seed(0)
    shape = WindowShape(2, 1, lookback, horizon, 1, masked=False, normalize=True, segment=segment)
    network = build_forecaster(replace(ForecastOptions(), model=cell, hidden=6), shape, "direct").eval()
    assert isinstance(network, DirectForecaster)
    torch.nn.init.normal_(network.output.weight, std=0.3)
    return network


def windows(lookback: int = 11, horizon: int = 7) -> WindowBatch:
    draw = torch.Generator().manual_seed(1)
    return WindowBatch(*(torch.randn(steps, B, 3, generator=draw).cumsum(0) for steps in (lookback, horizon)))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("segment", [2, 4, 7, 11])
def test_forecast_has_the_shape_of_the_horizon(cell: str, segment: int) -> None:
    network = make(cell, segment=segment)
    with torch.no_grad():
        quantiles = network.quantiles(windows().history, np.random.default_rng(0))
    assert quantiles.shape == (B, 7, 2, len(QUANTILES))
    assert quantiles.isfinite().all()


@pytest.mark.parametrize("cell", ["lstm", "lru"])
def test_horizon_is_one_step_for_each_position(cell: str) -> None:
    """All segments at once equal one segment after another, each from the same state."""
    network, window = make(cell), windows().history
    segments = network.segments
    assert segments is not None
    with torch.no_grad():
        _, carry = network.stack(segments.inputs(window))
        steps = [network.stack(position.expand(1, B, -1), carry)[0][0] for position in segments.positions]
        torch.testing.assert_close(segments(network.stack, window), torch.stack(steps, 1))
    assert len(steps) == 2 and not torch.allclose(steps[0], steps[1]), "positions differ"


def test_first_segment_is_filled_with_zeros() -> None:
    segments = Segments(width=2, segment=4, horizon=3, size=5)
    window = torch.randn(6, B, 2)
    padded = torch.cat([torch.zeros(2, B, 2), window])
    inputs = segments.inputs(window)
    assert inputs.shape == (2, B, 5)
    torch.testing.assert_close(inputs, segments.inputs(padded))
    by_hand = padded[4:, 1].flatten() @ segments.affine.weight.T + segments.affine.bias
    torch.testing.assert_close(inputs[1, 1], by_hand)


def test_windows_do_not_affect_each_other() -> None:
    network, history = make(), windows().history
    changed = history.clone()
    changed[:, 1:] += torch.randn(11, B - 1, 3)
    draw = np.random.default_rng(0)
    with torch.no_grad():
        torch.testing.assert_close(network.quantiles(changed, draw)[0], network.quantiles(history, draw)[0])


@pytest.mark.parametrize("cell", ["lstm", "gru", "minlstm"])
def test_gradient_is_the_finite_difference(cell: str) -> None:
    network, batch = make(cell).double(), windows()
    batch = WindowBatch(batch.history.double(), batch.future.double())
    network.loss(batch, ())[0].backward()
    segments = network.segments
    assert segments is not None
    for weight, place in (
        (segments.affine.weight, (2, 3)),
        (segments.positions, (1, 2)),
        (network.output.weight, (5, 1)),
    ):
        losses = []
        for change in (1e-6, -1e-6):
            with torch.no_grad():
                weight[place] += change
                losses.append(float(network.loss(batch, ())[0]))
                weight[place] -= change
        assert weight.grad is not None and weight.grad[place] != 0
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(float(weight.grad[place]), rel=1e-4, abs=1e-8)


def test_without_segments_the_weights_have_their_former_names() -> None:
    names = set(make(segment=1).state_dict())
    assert not [name for name in names if name.startswith("segments")]
    assert {"segments.affine.weight", "segments.positions"} <= set(make().state_dict())
