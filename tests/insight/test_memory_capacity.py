"""Linear memory capacity equals the number of units of a linear network."""

from __future__ import annotations

import pytest
import torch

import seriatim.nn as snn
from seriatim.insight.memory_capacity import memory_capacity
from seriatim.insight.step import flat_step


@pytest.mark.parametrize("size", [1, 3, 8, 17])
def test_delay_line_has_one_lag_per_unit(size: int) -> None:
    """r² is 1 for the last N inputs to rounding; beyond, chance gives below 1 / n each."""
    result = memory_capacity(
        lambda x, s: torch.cat([x, s[:, :-1]], 1), torch.zeros(1, size).double(), 1, size + 3, steps=2000
    )
    assert result.by_lag[:size].tolist() == pytest.approx([1.0] * size, abs=1e-10)
    assert result.total == pytest.approx(size, abs=0.01)


@pytest.mark.parametrize("size", [4, 10])
def test_linear_network_in_general_position_has_capacity_n(size: int) -> None:
    """h' = 0.9 Q h + w x with Q orthogonal (Jaeger 2002): the sum over lags is N."""
    torch.manual_seed(1)
    matrix = 0.9 * torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q
    reading = torch.randn(size, dtype=torch.float64)
    result = memory_capacity(
        lambda x, s: s @ matrix.T + x * reading, torch.zeros(1, size).double(), 1, 20 * size, steps=10_000
    )
    assert result.total == pytest.approx(size, rel=0.02)


def test_capacity_of_a_layer_is_at_most_its_size() -> None:
    torch.manual_seed(0)
    step = flat_step(snn.RNN(1, 8).double())
    result = memory_capacity(step, torch.zeros(1, 8).double(), 1, 40, steps=2000)
    assert 0.5 < result.total < 8.1


def test_network_without_recurrence_recalls_the_last_input_alone() -> None:
    result = memory_capacity(lambda x, s: x.expand(-1, 4) * 1.0, torch.zeros(1, 4).double(), 1, 10, steps=2000)
    assert result.by_lag[0] == pytest.approx(1)
    assert result.total == pytest.approx(1, abs=0.01)
