"""Units that follow a quantity, planted among units that do not."""

from __future__ import annotations

import pytest
import torch

from seriatim.insight.followers import bracket_depth, follower, followers, steps_since


def planted(unit: int, quantity: torch.Tensor, noise: float = 0.1) -> torch.Tensor:
    torch.manual_seed(0)
    states = torch.randn(*quantity.shape, 12)
    states[:, :, unit] = quantity + noise * torch.randn_like(quantity)
    return states


@pytest.mark.parametrize("unit", [0, 7])
def test_planted_unit_is_found(unit: int) -> None:
    torch.manual_seed(1)
    quantity = torch.randint(0, 5, (80, 6)).float()
    result = follower("depth", planted(unit, quantity), quantity)
    assert result.unit == unit and result.is_real
    assert result.correlation > 0.95 > result.chance


def test_correlation_is_pearsons() -> None:
    torch.manual_seed(0)
    states, quantity = torch.randn(40, 3, 1), torch.randn(40, 3)
    expected = torch.corrcoef(torch.stack([states.flatten(), quantity.flatten()]))[0, 1]
    assert follower("x", states, quantity).correlation == pytest.approx(float(expected), abs=1e-6)


def test_random_units_follow_nothing() -> None:
    false = 0
    for seed in range(20):
        torch.manual_seed(seed)
        false += follower("x", torch.randn(60, 4, 16), torch.randn(60, 4), seed=seed).is_real
    assert false <= 3


def test_slow_unit_does_not_follow_another_slow_quantity() -> None:
    """Two random walks are often correlated; the moved quantity shows how much that is by chance."""
    real = 0
    for seed in range(10):
        torch.manual_seed(seed)
        walks = torch.randn(100, 1, 9).cumsum(0)
        real += follower("x", walks[:, :, 1:], walks[:, :, 0], seed=seed).is_real
    assert real <= 4


def test_constant_quantities_are_left_out() -> None:
    assert followers(torch.randn(9, 2, 3), {"none": torch.ones(9, 2)}) == ()


def test_depth_counts_each_kind_of_bracket_and_row() -> None:
    units = torch.tensor([[1, 2], [3, 1], [2, 4], [4, 0]])
    assert bracket_depth(units, {1, 3}, {2, 4}).T.tolist() == [[1, 2, 1, 0], [0, 1, 0, 0]]
    assert not bracket_depth(units, set(), set()).any()


def test_steps_since_a_mark_start_anew_in_each_row() -> None:
    units = torch.tensor([[0, 5], [5, 5], [5, 0]])
    assert steps_since(units, {0}).T.tolist() == [[0, 1, 2], [1, 2, 0]]


def test_label_of_a_sequence_is_followed_by_the_last_state() -> None:
    """Of one step a quantity is compared with itself in other rows."""
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand(1, 60, generator=generator) < 0.5).double()
    states = torch.randn(1, 60, 5, generator=generator).double()
    assert not follower("label", states, label).is_real
    states[..., 3] += 3 * label
    result = follower("label", states, label)
    assert result.unit == 3 and result.is_real
