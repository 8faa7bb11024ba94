"""Tests of columns of time stamps: each form is read, continued, and written in the same form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas
import polars
import pytest

from seriatim.data import delimited
from seriatim.data.series import Series, read_series
from seriatim.errors import DataError


def csv(tmp_path: Any, cells: Sequence[object], **options: Any) -> Series:
    file = tmp_path / "a.csv"
    file.write_text("t,y\n" + "".join(f'"{cell}",{row}\n' for row, cell in enumerate(cells)))
    (series,), _ = read_series(file, time="t", target=["y"], **options)
    return series


def frame(stamps: Any, library: Any = pandas) -> Series:
    (series,), _ = read_series(library.DataFrame({"t": stamps, "y": range(len(stamps))}), time="t", target=["y"])
    return series


FORMS = [
    # two-digit years, and orders that the column makes clear
    (["96-10-30", "96-10-31"], "1996-10-30", ["96-11-01", "96-11-02"]),
    (["30/12/68", "31/12/68"], "2068-12-30", ["01/01/69", "02/01/69"]),
    (["30/12/69", "31/12/69"], "1969-12-30", ["01/01/70", "02/01/70"]),
    (["30-01-2020", "31-01-2020"], "2020-01-30", ["01-02-2020", "02-02-2020"]),
    (["1/30/2020", "1/31/2020"], "2020-01-30", ["2/1/2020", "2/2/2020"]),
    (["3.1.2020", "4.1.2020"], "2020-01-03", ["5.1.2020", "6.1.2020"]),
    (["2020/01/30", "2020/01/31"], "2020-01-30", ["2020/02/01", "2020/02/02"]),
    # whole numbers
    (["202011", "202012"], "2020-11-01", [202101, 202102]),
    (["20200229", "20200301"], "2020-02-29", [20200302, 20200303]),
    (["2020022822", "2020022823"], "2020-02-28T22", [2020022900, 2020022901]),
    (["202012312358", "202012312359"], "2020-12-31T23:58", [202101010000, 202101010001]),
    (["20203", "20204"], "2020-07-01", [20211, 20212]),
    # quarters, weeks and days of the year
    (["2020Q3", "2020Q4"], "2020-07-01", ["2021Q1", "2021Q2"]),
    (["2020-q3", "2020-q4"], "2020-07-01", ["2021-q1", "2021-q2"]),
    (["Q3 2020", "Q4 2020"], "2020-07-01", ["Q1 2021", "Q2 2021"]),
    (["2020-W52", "2020-W53"], "2020-12-21", ["2021-W01", "2021-W02"]),
    (["2018W521", "2019W011"], "2018-12-24", ["2019W021", "2019W031"]),
    (["2020-365", "2020-366"], "2020-12-30", ["2021-001", "2021-002"]),
    (["2020-11", "2020-12"], "2020-11-01", ["2021-01", "2021-02"]),
    # times of day
    (["2020-01-06 22:00", "2020-01-06 23:00"], "2020-01-06T22", ["2020-01-07 00:00", "2020-01-07 01:00"]),
    (["2020-01-06T22", "2020-01-06T23"], "2020-01-06T22", ["2020-01-07T00", "2020-01-07T01"]),
    (["20200106T2230", "20200106T2300"], "2020-01-06T22:30", ["20200106T2330", "20200107T0000"]),
    (["2020-01-05T24:00", "2020-01-07T00:00"], "2020-01-06", ["2020-01-08T00:00", "2020-01-09T00:00"]),
    (["2020-01-06 23:00:00,5", "2020-01-06 23:00:01,0"], "2020-01-06T23:00:00.5",
     ["2020-01-06 23:00:01,5", "2020-01-06 23:00:02,0"]),
    # zones
    (["2020-01-06T22:00Z", "2020-01-06T23:00Z"], "2020-01-06T22", ["2020-01-07T00:00Z", "2020-01-07T01:00Z"]),
    (["2020-01-06 22:00:00+02", "2020-01-06 23:00:00+02"], "2020-01-06T20",
     ["2020-01-07 00:00:00+02", "2020-01-07 01:00:00+02"]),
    (["2020-01-06 22:00 -0330", "2020-01-06 23:00 -0330"], "2020-01-07T01:30",
     ["2020-01-07 00:00 -0330", "2020-01-07 01:00 -0330"]),
    (["2020-01-06 22:00 UTC", "2020-01-06 23:00 UTC"], "2020-01-06T22",
     ["2020-01-07 00:00 UTC", "2020-01-07 01:00 UTC"]),
    (["2020-03-29T00:00+01:00", "2020-03-30T00:00+02:00", "2020-03-31T00:00+02:00"], "2020-03-28T23",
     ["2020-04-01T00:00+02:00", "2020-04-02T00:00+02:00"]),
    # plain numbers
    (["1700", "1701"], None, [1702, 1703]),
    (["0.5", "1.0"], None, [1.5, 2.0]),
    (["1577836800000", "1577840400000"], None, [1577844000000, 1577847600000]),
    (["202012", "202013"], None, [202014, 202015]),
]  # fmt: skip


@pytest.mark.parametrize("block", [16, 1 << 20])
@pytest.mark.parametrize(("cells", "first", "future"), FORMS)
def test_forms(
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    cells: list[str],
    first: str | None,
    future: list[object],
) -> None:
    monkeypatch.setattr(delimited, "BLOCK", block)
    series = csv(tmp_path, cells)
    assert series.times is not None
    if first is not None:
        assert series.times[0] == np.datetime64(first, "us")
    assert series.future_times(2) == future
    assert [str(series.format.write(stamp)).replace("T24:00", "") for stamp in series.times][-1] == cells[-1]


def test_frames() -> None:
    berlin = pandas.date_range("2020-03-27", periods=3, freq="D", tz="Europe/Berlin")
    for series in (frame(berlin), frame(polars.from_pandas(pandas.DataFrame({"t": berlin}))["t"], polars)):
        assert series.future_times(2) == ["2020-03-30T00:00:00+02:00", "2020-03-31T00:00:00+02:00"]
    fixed = frame(pandas.date_range("2020-03-27", periods=3, freq="h", tz="+02:00"))
    assert fixed.future_times(1) == ["2020-03-27T03:00:00+02:00"]
    hours = frame(pandas.date_range("2020-01-06 22:00", periods=2, freq="h"))
    assert hours.future_times(2) == ["2020-01-07T00:00:00", "2020-01-07T01:00:00"]
    assert frame(pandas.date_range("2020-01-06", periods=2, freq="D")).future_times(1) == ["2020-01-08"]
    assert frame(["202011", "202012"], polars).future_times(1) == ["202101"], "texts stay texts"
    assert frame([202011, 202012], polars).future_times(1) == [202101]
    assert frame(pandas.Categorical(["2020-01-01", "2020-01-02"])).future_times(1) == ["2020-01-03"]


@pytest.mark.parametrize(
    ("frequency", "future"),
    [
        ("M", "2020-03"),
        ("Q", "2020Q3"),
        ("W", "2020-01-20"),
        ("D", "2020-01-08"),
        ("h", "2020-01-06 02:00"),
        ("Y", "2022"),
    ],
)
def test_pandas_periods(frequency: str, future: str) -> None:
    assert frame(pandas.period_range("2020-01-06", periods=2, freq=frequency)).future_times(1) == [future]


@pytest.mark.parametrize(
    ("pattern", "cells", "future"),
    [
        ("%d/%m/%Y", ["01/02/2020", "01/03/2020"], "01/04/2020"),
        ("%m/%d/%Y", ["01/02/2020", "01/03/2020"], "01/04/2020"),
        ("%b %Y", ["Jan 2020", "Feb 2020"], "Mar 2020"),
        ("%Y%m", ["202001", "202002"], "202003"),
        ("%d.%m.%Y %H:%M", ["01.02.2020 22:00", "01.02.2020 23:00"], "02.02.2020 00:00"),
    ],
)
def test_date_format(tmp_path: Any, pattern: str, cells: list[str], future: str) -> None:
    assert csv(tmp_path, cells, date_format=pattern).future_times(1) == [future]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["01/02/2020", "02/02/2020"],
         "line 2, column 't': '01/02/2020' may be 2020-02-01 or 2020-01-02: .*--date-format %d/%m/%Y"),
        (["01/02/03", "02/02/03"], "may be 2001-02-03 or 2003-02-01"),
        (["13/01/2020", "01/13/2020"], "line 3, column 't': '01/13/2020' does not fit the dates above; --date-format"),
        (["2020-01-01T00:00Z", "2020-01-01T01:00"], "line 3, column 't': '2020-01-01T01:00' does not fit"),
        (["2020-02-30", "2020-03-01"], "line 2, column 't': '2020-02-30' is not a date"),
        (["2020-01-01 25:00", "2020-01-02"], "line 2, column 't': '2020-01-01 25:00' is not a date"),
        (["2020-W54", "2020-W01"], "line 2"),
    ],
)  # fmt: skip
def test_bad_dates_are_refused(tmp_path: Any, cells: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        csv(tmp_path, cells)


def test_bad_date_format_is_refused(tmp_path: Any) -> None:
    with pytest.raises(DataError, match=r"line 3, column 't': '2020-01-02' does not have the form %d/%m/%Y"):
        csv(tmp_path, ["01/01/2020", "2020-01-02"], date_format="%d/%m/%Y")
    with pytest.raises(DataError, match=r"line 2, column 't': '01/01/2020' does not have the form %Q"):
        csv(tmp_path, ["01/01/2020", "2020-01-02"], date_format="%Q")
