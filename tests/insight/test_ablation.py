"""Ablation of early context, for a loss whose use of context is known."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.insight.ablation import ablate, default_contexts


def uses(lag: int):
    """A loss that is 0 only if the model still has the input ``lag`` steps ago; a cut context reads zero there."""

    def losses(inputs: torch.Tensor) -> torch.Tensor:
        steps = len(inputs)
        past = inputs[steps - 1 - lag, :, 0] if lag < steps else torch.zeros(inputs.shape[1], dtype=inputs.dtype)
        return (past - inputs[-1, :, 1]).square()

    return losses


def inputs_for(lag: int, steps: int = 40, rows: int = 64) -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.randn(steps, rows, 2, dtype=torch.float64)
    x[-1, :, 1] = x[steps - 1 - lag, :, 0]
    return x


@pytest.mark.parametrize("way", ["cut", "shuffle", "drop"])
@pytest.mark.parametrize("lag", [1, 7, 23])
def test_horizon_is_the_lag_that_the_loss_uses(way: str, lag: int) -> None:
    """The loss needs lag + 1 steps: the last one and those back to the lag."""
    result = ablate(uses(lag), inputs_for(lag), range(1, 41), way)
    assert result.horizon().lag == lag + 1
    assert not result.horizon().is_censored


def test_excess_loss_is_exact() -> None:
    x = inputs_for(5)
    result = ablate(uses(5), x, [3, 6], "cut")
    assert result.excess[0] == pytest.approx(float(x[-1, :, 1].square().mean()))
    assert result.excess[1] == 0


def test_loss_without_use_of_context_has_no_horizon() -> None:
    result = ablate(lambda x: x[-1, :, 0].square(), inputs_for(5), default_contexts(40))
    assert result.horizon().lag == 0


def test_context_that_matters_to_the_end_is_censored() -> None:
    result = ablate(lambda x: -x[:, :, 0].abs().sum(0), inputs_for(5), [1, 10, 39])
    assert result.horizon().is_censored


def test_shuffled_context_keeps_the_values() -> None:
    """A loss of the sum over all steps does not change with their order."""
    result = ablate(lambda x: x[:, :, 0].sum(0), inputs_for(5), [1, 10], "shuffle")
    assert result.excess == pytest.approx((0.0, 0.0), abs=1e-12)


def test_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'shuffle'"):
        ablate(uses(1), inputs_for(1), [1], "shufle")
