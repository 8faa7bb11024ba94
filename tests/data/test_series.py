"""Tests of time series: order, gaps, missing values, and the locations in messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest

from seriatim.data.series import read_series
from seriatim.errors import DataError, SeriatimError, UsageError

NAN = float("nan")


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "x.csv"
    file.write_text(text)
    return file


def test_one_series(tmp_path: Path) -> None:
    file = write(tmp_path, "t,b,a\n2020-01-01,1,2\n2020-02-01,3,4\n")
    (series,), notes = read_series(file, target=["a"], covariates=["b"], time="t")
    assert series.id == "1" and series.values.tolist() == [[2, 1], [4, 3]] and series.observed is None and notes == []
    assert series.times is not None and series.times.astype(str)[1] == "2020-02-01T00:00:00.000000" and len(series) == 2
    (bare,), _ = read_series(file, target=["a"])
    assert bare.times is None


@pytest.mark.parametrize("time", [None, "t"])
def test_interleaved_series_are_grouped(time: str | None) -> None:
    rows = [{"id": name, "t": t, "a": a} for name, t, a in [("y", 1, 1.0), ("x", 5, 2.0), ("y", 2, 3.0), ("x", 4, 4.0)]]
    series, notes = read_series(rows, target=["a"], id="id", time=time)
    assert [part.id for part in series] == ["y", "x"]
    assert series[0].values.tolist() == [[1], [3]]
    if time:
        assert series[1].values.tolist() == [[4], [2]] and series[1].times is not None
        assert series[1].times.tolist() == [4, 5]
        assert notes == [
            "rows were not in order of time in 1 of 2 series, the first row 4 in series 'x'; they were sorted"
        ]
    else:
        assert series[1].values.tolist() == [[2], [4]] and notes == []


def test_unsorted_rows_are_sorted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [f"{name},{t},{t * 10 + len(name)}" for name in ("a", "bb", "ccc") for t in range(5)]
    expected, _ = read_series(write(tmp_path, "id,t,v\n" + "\n".join(rows)), target=["v"], id="id", time="t")
    random.shuffle(rows)
    result, notes = read_series(write(tmp_path, "id,t,v\n" + "\n".join(rows)), target=["v"], id="id", time="t")
    values, expected_values = ({part.id: part.values.tolist() for part in series} for series in (result, expected))
    assert values == expected_values
    assert len(notes) == 1


@pytest.mark.parametrize(
    "source",
    [
        [1, 2.5],
        (1, 2.5),
        np.array([1, 2.5]),
        polars.Series([1.0, 2.5]),
        [np.array([1, 2.5])],
        np.array([[1], [2.5]]),
    ],
)
def test_numbers_in_memory(source: Any) -> None:
    (series,), notes = read_series(source)
    assert series.id == "1" and series.values.tolist() == [[1.0], [2.5]] and series.times is None and notes == []


def test_arrays_and_lists_in_memory() -> None:
    (wide,), _ = read_series(np.arange(6).reshape(3, 2))
    assert wide.values.shape == (3, 2)
    for several in ([np.arange(3), np.arange(2)], [[0, 1, 2], [0, 1]]):
        series, _ = read_series(several)
        assert [(part.id, len(part)) for part in series] == [("1", 3), ("2", 2)]
    (column,), _ = read_series(np.arange(6).reshape(3, 2), target=["2"])
    assert column.values.tolist() == [[1], [3], [5]]


GAPS = "t,a,b\n2020-01-01,1,NA\n2020-01-02,2,5\n2020-01-04,NA,6\n2020-01-05,6,8\n2020-01-06,7,NA\n"


def test_gaps_are_noted_and_rows_unchanged() -> None:
    rows = {"t": ["2020-01-01", "2020-01-02", "2020-01-04", "2020-01-05"], "a": [1, 2, 3, 4]}
    (series,), notes = read_series(polars.DataFrame(rows), target=["a"], time="t")
    assert len(series) == 4
    assert notes == [
        "1 time stamp is missing, the first 2020-01-03 where the step is 1 day; the rows are used unchanged"
    ]


@pytest.mark.parametrize("missing", ["interpolate", "mask"])
def test_gaps_are_filled(tmp_path: Path, missing: str) -> None:
    (series,), notes = read_series(write(tmp_path, GAPS), target=["a", "b"], time="t", missing=missing)
    np.testing.assert_allclose(series.values, [[1, 5], [2, 5], [2 + 4 / 3, 5.5], [2 + 8 / 3, 6], [6, 8], [7, 8]])
    assert series.times is not None and series.times.astype("datetime64[D]").astype(str)[2] == "2020-01-03"
    how = "interpolated" if missing == "interpolate" else "interpolated, and masked"
    assert notes[1] == f"5 missing values were {how} (1 rows inserted)"
    if missing == "mask":
        assert series.observed is not None
        assert series.observed.tolist() == [[1, 0], [1, 1], [0, 0], [0, 1], [1, 1], [1, 0]]
    else:
        assert series.observed is None


def test_gaps_are_filled_with_irregular_or_no_stamps() -> None:
    rows = [{"t": 0.0, "a": 0.0}, {"t": 1.0, "a": None}, {"t": 4.5, "a": 9.0}]
    (series,), notes = read_series(rows, target=["a"], time="t", missing="interpolate")
    np.testing.assert_allclose(series.values[:, 0], [0, 2, 9])
    assert notes[0] == "time stamps are irregular, the first from 1.0 to 4.5"
    (bare,), _ = read_series([0.0, NAN, 9.0], missing="mask")
    assert bare.values.tolist() == [[0], [4.5], [9]] and bare.observed is not None
    assert bare.observed.tolist() == [[True], [False], [True]]


def test_input_array_is_not_modified() -> None:
    values = np.array([0.0, NAN, 2.0])
    read_series(values, missing="interpolate")
    assert np.isnan(values[1])


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        (GAPS, {"target": ["a"]}, DataError, "line 4, column 'a': missing value, 1 in all; use --missing interpolate"),
        (GAPS, {"target": ["a", "b"]}, DataError, "line 2, column 'b': missing value, 3 in all"),
        (GAPS, {"target": ["c"]}, UsageError, "no column 'c'"),
        (GAPS, {"target": ["a"], "time": "tt"}, UsageError, "no column 'tt'"),
        (GAPS, {}, UsageError, "target: name the column"),
        (GAPS, {"target": ["a"], "covariates": ["a"]}, UsageError, "column 'a' is named twice"),
        ("a\n1\nx\n", {"target": ["a"]}, DataError, "line 3, column 'a': 'x' is not a number"),
        ("a\n1\ninf\n", {"target": ["a"], "missing": "mask"}, DataError, "line 3, column 'a': 'inf' is not finite"),
        ("a,b\nNA,1\n", {"target": ["a"], "missing": "mask"}, DataError, "channel 1 holds no value"),
        ("t,a\n1,1\n3,1\n1,2\n", {"target": ["a"], "time": "t"}, DataError,
         "line 4, column 't': 1 occurs twice in series '1', before in line 2; if the table holds several series"),
        ("t,a\n0,1\n1,1\n2,2\n999,1\n", {"target": ["a"], "time": "t", "missing": "mask"}, DataError,
         "would turn 4 rows into 1000"),
    ],
)  # fmt: skip
def test_faults_of_tables(
    tmp_path: Path, text: str, options: dict[str, Any], error: type[SeriatimError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_series(write(tmp_path, text), **options)


def test_repeated_stamp_is_refused_within_a_series_only(tmp_path: Path) -> None:
    file = write(tmp_path, "id,t,a\nx,2,1\ny,2,1\nx,1,1\ny,2,5\n")
    with pytest.raises(DataError, match=r"line 5, column 't': 2 occurs twice in series 'y', before in line 3$"):
        read_series(file, target=["a"], time="t", id="id")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([1.0, NAN], r"series 1: row 2, column 1: missing value, 1 in all"),
        ([np.zeros(2), np.array([np.inf])], r"series 2: row 1, column 1: 'inf' is not finite"),
        (np.zeros((0,)), "shape"),
        ([np.zeros((2, 2, 2))], "shape"),
        (np.array(["a"]), "not numbers"),
    ],
)
def test_faults_of_arrays(source: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_series(source)


def test_sorted_series_is_not_copied() -> None:
    (series,), _ = read_series(np.arange(5.0), missing="mask")
    (two,), _ = read_series(series.values)
    assert np.shares_memory(series.values, two.values)


@pytest.mark.parametrize("missing", ["interpolate", "mask"])
def test_rows_of_the_future_are_left_out(tmp_path: Path, missing: str) -> None:
    file = write(tmp_path, "id,t,a,b,c\nx,1,1,1,5\nx,2,,2,5\nx,3,3,3,5\nx,4,,,5\nx,5,,,5\ny,1,7,7,5\ny,2,8,8,5\n")
    (x, y), notes = read_series(file, target=["a", "b"], covariates=["c"], time="t", id="id", missing=missing)
    assert x.values.tolist() == [[1, 1, 5], [2, 2, 5], [3, 3, 5]] and len(y) == 2
    assert x.has_value is not None and x.has_value.tolist() == [[True] * 3, [False, True, True], [True] * 3]
    assert x.future_times(2) == [4, 5]
    assert notes == [f"1 missing value was {'interpolated, and masked' if missing == 'mask' else 'interpolated'}",
                     "2 rows at the end have no target and were left out, in 1 of 2 series"]  # fmt: skip
    (array,), _ = read_series(np.array([1.0, NAN, 3.0, NAN, NAN]), missing=missing)
    assert array.values[:, 0].tolist() == [1, 2, 3]


def test_pandas_series_keeps_the_stamps_of_its_index() -> None:
    values = pandas.Series([1.0, 2.0], index=pandas.date_range("2020-01-30", periods=2))
    (series,), _ = read_series(values)
    assert series.values[:, 0].tolist() == [1, 2] and series.future_times(2) == ["2020-02-01", "2020-02-02"]
    (plain,), _ = read_series(pandas.Series([1.0, 2.0]))
    assert plain.times is None


def test_numbers_whose_squares_overflow_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 3, column 'a': 1e\+200 is too large, wanted at most 1e\+100"):
        read_series(write(tmp_path, "a\n1\n1e200\n"), target=["a"])
    with pytest.raises(DataError, match=r"series 1: row 2, column 1: -1e\+200 is too large"):
        read_series([1.0, -1e200])


def test_repeated_hour_of_local_times_is_explained(tmp_path: Path) -> None:
    """On 28 October 2018 the clocks went back from 3 to 2 o'clock."""
    quarters = np.datetime64("2018-10-27T00:00") + 15 * np.arange(400)
    quarters[quarters >= np.datetime64("2018-10-28T03:00")] -= 60
    (tmp_path / "a.csv").write_text("date,y\n" + "".join(f"{stamp},{n}\n" for n, stamp in enumerate(quarters)))
    hint = "occurs twice .*; if these are local times and the clocks went back, write them with their offset from UTC"
    with pytest.raises(DataError, match=hint):
        read_series(tmp_path / "a.csv", target=("y",), time="date")
