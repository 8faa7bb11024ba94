"""Tests of streams: order is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seriatim.data.streams import Streams
from seriatim.errors import DataError

COUNTS = {"count": st.integers(1, 60), "rows": st.integers(1, 7), "steps": st.integers(1, 9)}


def tokens_of(count: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.arange(1, count + 1, dtype=np.int32)  # token i is i + 1, so the token before i is i


@settings(deadline=None)
@given(**COUNTS)
def test_rows_are_contiguous_and_inputs_lag_by_one(count: int, rows: int, steps: int) -> None:
    tokens = tokens_of(count)
    if count < rows:
        with pytest.raises(DataError, match=f"too short for {rows} streams"):
            Streams(tokens, rows, steps)
        return
    streams = Streams(tokens, rows, steps)
    batches = list(streams)
    assert len(batches) == len(streams)
    inputs, targets = (np.concatenate(part) for part in zip(*batches, strict=True))
    np.testing.assert_array_equal(targets.T.reshape(-1), tokens[: count // rows * rows])
    np.testing.assert_array_equal(inputs, targets - 1)
    assert inputs[0, 0] == 0 and inputs.dtype == targets.dtype == np.int64
    assert all(part.shape[0] == steps for part, _ in batches[:-1])
    for start in range(len(streams) + 1):
        for (a, b), (c, d) in zip(streams.batches(start), batches[start:], strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)
