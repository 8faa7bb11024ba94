"""Tests of masked arrays: no source may drop their mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seriatim.data.arrays import to_float64
from seriatim.data.images import PictureFormat, read_pictures
from seriatim.data.rolls import read_rolls
from seriatim.data.sequences import read_sequences
from seriatim.data.series import read_series
from seriatim.data.tables import open_table
from seriatim.errors import DataError

MASKED: Any = np.ma.masked_array([[1.0, 2.0], [1e36, 4.0], [5.0, 6.0]], mask=[[0, 0], [1, 0], [0, 0]])
WHOLE: Any = np.ma.masked_array([1, 999, 3], mask=[0, 1, 0])


@pytest.mark.parametrize("values", [MASKED, list(MASKED), [list(row) for row in MASKED]])
def test_masked_values_become_nan(values: Any) -> None:
    np.testing.assert_array_equal(to_float64(values), [[1, 2], [np.nan, 4], [5, 6]])


def test_plain_arrays_are_not_copied() -> None:
    values = np.arange(3.0)
    assert to_float64(values) is values
    assert to_float64(WHOLE)[1] != to_float64(WHOLE)[1], "whole numbers too"


def test_series() -> None:
    for source in (MASKED, [MASKED], [list(MASKED[:, 0])], list(MASKED[:, 0])):
        (series,), _ = read_series(source, missing="mask")
        assert series.observed is not None and not series.observed[1, 0] and series.values[1, 0] == 3.0
        with pytest.raises(DataError, match="missing value"):
            read_series(source)


def test_sequences() -> None:
    for source in ([MASKED], np.ma.stack([MASKED, MASKED])):
        with pytest.raises(DataError, match="data item 1: step 2, channel 1: missing value"):
            read_sequences(source, need_label=False)
    with pytest.raises(DataError, match="data item 2: target: missing value"):
        read_sequences((["a", "b", "c"], WHOLE), target="")
    with pytest.raises(DataError, match="data item 2: no label"):
        read_sequences((["a", "b", "c"], WHOLE))


def test_tables() -> None:
    for source in (MASKED, list(MASKED), [{"1": row[0]} for row in MASKED]):
        np.testing.assert_array_equal(open_table(source, columns=["1"]).numbers(["1"])[:, 0], [1, np.nan, 5])
    with pytest.raises(DataError, match="row 2, column '1': no label"):
        open_table(WHOLE[:, None], columns=["1"]).labels("1")


def test_pictures_and_rolls() -> None:
    pixels = np.ma.masked_array(np.zeros((4, 4, 3), np.uint8), mask=np.eye(4)[:, :, None] * [1, 1, 1])
    with pytest.raises(DataError, match="data item 1: 12 masked values"):
        read_pictures([pixels], PictureFormat(4), need_text=False)
    with pytest.raises(DataError, match="data item 1: 1 masked values"):
        read_pictures([MASKED], PictureFormat(features=True), need_text=False)
    with pytest.raises(DataError, match="wanted 0 or 1"):
        read_rolls([np.ma.masked_array([[1, 0], [1, 0]], mask=[[0, 0], [1, 0]])])
