"""Information that a step adds to a nearer one, where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.insight.added_information import added_information
from seriatim.insight.information import default_lags, symbol_information


def horizon(text: np.ndarray, longest: int = 60) -> float:
    return added_information([text], symbol_information([text], default_lags(longest))).horizon()


@pytest.mark.parametrize("period", [5, 12, 30])
def test_repeating_text_repays_one_period(period: int) -> None:
    """Each letter repeats the letter of one period before, except with chance 0.1; further periods add nothing."""
    generator = np.random.default_rng(0)
    text = generator.integers(0, 6, 20_000)
    for step in range(period, len(text)):
        if generator.random() > 0.1:
            text[step] = text[step - period]
    assert horizon(text, 100) == period


def test_chain_of_order_one_repays_one_step() -> None:
    text = np.cumsum(np.random.default_rng(0).random(50_000) < 0.1) % 2
    assert symbol_information([text], default_lags(30)).horizon() > 5
    assert horizon(text) == 1


def test_independent_symbols_repay_nothing() -> None:
    assert sum(horizon(np.random.default_rng(seed).integers(0, 5, 3000)) > 0 for seed in range(10)) <= 1


def test_exact_counts_give_exact_information() -> None:
    """x_t is x_{t-2} in pairs of equal letters a a b b …: given x_{t-1} and a fair start, lag 2 adds one bit."""
    text = np.tile([0, 0, 1, 1], 20_000)
    pairs = symbol_information([text], [1, 2])
    assert pairs.values[0] == pytest.approx(0, abs=1e-4)
    assert added_information([text], pairs).values[1] == pytest.approx(1, abs=1e-3)
