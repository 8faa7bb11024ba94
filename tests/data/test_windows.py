"""Tests of windows: correct positions, and no stored copies."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seriatim.data.windows import Windows


@settings(max_examples=50, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_windows_match_slices(data: st.DataObject, lookback: int, horizon: int) -> None:
    lengths = data.draw(st.lists(st.integers(lookback + horizon, 15), min_size=1, max_size=4))
    series = [np.stack([np.arange(n) + 100.0 * s, -np.arange(n) - 1.0], axis=1) for s, n in enumerate(lengths)]
    spans = []
    for n in lengths:
        start = data.draw(st.integers(lookback, n - horizon))
        spans.append((start, data.draw(st.integers(start, n - horizon + 1))))
    expected = [(number, origin) for number, span in enumerate(spans) for origin in range(*span)]
    windows = Windows(series, lookback, horizon, spans)
    assert len(windows) == len(expected)
    if not expected:
        return
    order = data.draw(st.permutations(range(len(expected))))
    located = windows.locate(order)
    assert list(zip(*(part.tolist() for part in located), strict=True)) == [expected[index] for index in order]
    history, future = windows.batch(order)
    assert history.shape == (lookback, len(order), 2) and future.shape == (horizon, len(order), 2)
    assert history.dtype == future.dtype == np.float32
    for place, index in enumerate(order):
        number, origin = expected[index]
        np.testing.assert_array_equal(history[:, place], series[number][origin - lookback : origin])
        np.testing.assert_array_equal(future[:, place], series[number][origin : origin + horizon])


def test_memory_does_not_grow_with_number_of_windows() -> None:
    values = np.zeros((10_000_000, 1), dtype=np.float32)
    windows = Windows([values], 1000, 10, [(1000, 9_999_990)])
    assert len(windows) == 9_998_990 and np.shares_memory(windows.series[0], values)
    own = [value for value in vars(windows).values() if isinstance(value, np.ndarray)]
    assert sum(map(sys.getsizeof, own)) < 1000


def test_masks_become_floats() -> None:
    history, _ = Windows([np.array([[True], [False], [True]])], 2, 1, [(2, 3)]).batch([0])
    assert history[:, 0, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("span", [(1, 3), (2, 6), (6, 8)])
def test_unfit_spans_are_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="series 0 of 6 steps"):
        Windows([np.zeros((6, 1))], 2, 1, [span] if span != (2, 6) else [(2, 7)])


def test_window_out_of_range_is_refused() -> None:
    windows = Windows([np.zeros((6, 1))], 2, 1, [(2, 6)])
    for wrong in (-1, 4):
        with pytest.raises(IndexError):
            windows.batch([0, wrong])
    with pytest.raises(ValueError, match="1 for 2 series"):
        Windows([np.zeros((6, 1))] * 2, 2, 1, [(2, 6)])
