"""Tests of scoring batches: each token is scored once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seriatim.encoding.scoring_batches import scoring_batches


def tokens_of(count: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.arange(1, count + 1, dtype=np.int32)  # token i is i + 1, so the token before i is i


@settings(deadline=None)
@given(count=st.integers(1, 60), rows=st.integers(1, 7), steps=st.integers(1, 9), warmup=st.integers(0, 20))
def test_each_token_has_weight_one_once(count: int, rows: int, steps: int, warmup: int) -> None:
    tokens = tokens_of(count)
    batches = list(scoring_batches(tokens, rows, steps, warmup))
    inputs, targets, weights = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert weights.dtype == np.float32 and weights.sum() == count
    assert sorted(targets[weights == 1].tolist()) == tokens.tolist()
    is_target = targets > 0
    np.testing.assert_array_equal(inputs[is_target], targets[is_target] - 1)
    assert (weights[~is_target] == 0).all() and (inputs[~is_target] == 0).all()
    for row in range(targets.shape[1]):  # each row is a contiguous part of the text after its warm-up
        part, led = targets[:, row][is_target[:, row]], int((weights[:, row][is_target[:, row]] == 0).sum())
        assert (np.diff(part) == 1).all()
        assert led == min(warmup, part[led] - 1)


def test_one_row_covers_the_text() -> None:
    batches = list(scoring_batches(tokens_of(10), 1, 4, 100))
    assert [weights.sum() for _, _, weights in batches] == [4, 4, 2]
    assert list(scoring_batches(tokens_of(0), 3, 4, 5)) == []
