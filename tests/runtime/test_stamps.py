"""The time stamps of forecasts of an exported model: those of the run, whatever the form of the column."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import polars
import pytest

import seriatim
from seriatim.data.cell_values import CellError
from seriatim.data.timestamps import StampReader
from seriatim.encoding.calendar import future_stamps
from seriatim.errors import DataError
from seriatim.runtime.stamps import after, read_stamps

PARIS = ZoneInfo("Europe/Paris")
HOURS = [datetime(2026, 3, 28, 20) + timedelta(hours=hour) for hour in range(12)]
COLUMNS = {
    "days": ["2026-01-30", "2026-01-31", "2026-02-01"], "months": ["2025-11", "2025-12", "2026-01"],
    "ends of months": ["2025-11-30", "2025-12-31", "2026-01-31"], "one": ["2026-01-31"],
    "hours": ["2026-01-31T22:00", "2026-01-31T23:00", "2026-02-01T00:00"],
    "with a blank": ["2026-01-31 22:00:00", "2026-01-31 22:30:00"], "unpadded": ["2026-1-9", "2026-1-10"],
    "fractions": ["2026-01-31T00:00:00.250", "2026-01-31T00:00:00.500"], "basic": ["20260131T2200", "20260131T2300"],
    "slashes": ["2026/01/30", "2026/01/31"], "german": ["30.01.2026", "31.01.2026"], "american": ["1/30/26", "1/31/26"],
    "old": ["30-01-69", "31-01-69"], "midnight": ["2026-01-31 12:00", "2026-01-31 24:00"],
    "universal": ["2026-01-31T00:00Z", "2026-01-31T06:00Z"],
    "offset": ["2026-01-31T00:00+0200", "2026-02-01T00:00+0200"],
    "clock change": ["2026-03-28T00:00+01:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"],
    "quarters": ["2025Q3", "2025Q4", "2026Q1"], "quarters first": ["Q3 2025", "Q4 2025"],
    "weeks": ["2026-W01", "2026-W02"],
    "days of weeks": ["2026-W01-6", "2026-W01-7"], "days of the year": ["2026-030", "2026-031"],
    "numbers": ["3", "5", "7"], "fractions of numbers": ["0.5", "1.0", "1.5"], "years": ["1998", "1999"],
    "compact": ["20260130", "20260131"], "compact months": ["202511", "202512"], "compact quarters": ["20253", "20254"],
    "irregular": ["2026-01-01", "2026-01-05", "2026-01-06"], "workdays": [
        f"2026-01-{day:02d}" for day in (1, 2, 5, 6, 7, 8, 9, 12, 13, 14, 15)
    ],
    "integers": [3, 5, 7], "floats": [0.5, 1.0], "compact integers": [20260130, 20260131],
    "dates": [date(2026, 1, 30), date(2026, 1, 31)], "date times": HOURS,
    "universal times": [hour.replace(tzinfo=timezone.utc) for hour in HOURS],
    "times of Paris": [hour.replace(tzinfo=PARIS) for hour in HOURS[::4]],
    "days of Paris": [datetime(2026, 3, day, tzinfo=PARIS) for day in (27, 28, 29)],
}  # fmt: skip
WRONG = [
    ["2026-01-30", "soon"], ["soon"], ["2026-01-30", "2026-02-30"], ["1", "2026-01-30"], ["2026-01-30", "1"],
    ["2026-01-30T00:00Z", "2026-01-30T01:00"], ["2026-01-30", None], ["01/02/2026", "02/02/2026"], ["1", "inf"],
    ["2026-01-30", ""], ["2025Q3", "2025Q5"], ["2026-01-30T25:00", "2026-01-31T00:00"], ["2026-W54"],
]  # fmt: skip


@pytest.mark.parametrize("is_text", [True, False])
@pytest.mark.parametrize("name", COLUMNS)
def test_stamps_are_those_that_a_training_reads(name, is_text):
    column = COLUMNS[name]
    reader = StampReader(is_text=is_text)
    reader.read(polars.Series(column))
    theirs, ours = reader.finish(), read_stamps("time", column, is_text=is_text)
    assert ours.values.dtype == theirs.values.dtype and ours.values.tolist() == theirs.values.tolist()
    future = [theirs.format.write(stamp) for stamp in future_stamps(theirs.values, 30, theirs.format.zone)]
    assert after(ours, 30) == future and [*map(type, after(ours, 30))] == [*map(type, future)]


@pytest.mark.parametrize("column", WRONG)
def test_wrong_stamps_are_refused_as_by_a_training(column):
    reader = StampReader()
    with pytest.raises(CellError):
        reader.read(polars.Series(column))
        reader.finish()
    with pytest.raises(DataError, match="time: row "):
        read_stamps("time", column, is_text=True)


def test_pattern_of_dates():
    column = ["30. 1. 2026", "31. 1. 2026", "1. 2. 2026"]
    reader = StampReader("%d. %m. %Y")
    reader.read(polars.Series(column))
    theirs, ours = reader.finish(), read_stamps("time", column, pattern="%d. %m. %Y")
    assert ours.values.tolist() == theirs.values.tolist() and after(ours, 1) == [
        theirs.format.write(ours.values[2] + 86_400_000_000)
    ]
    with pytest.raises(DataError, match="time: row 1: '2026-01-01' does not have the form"):
        read_stamps("time", ["2026-01-01"], pattern="%d. %m. %Y")


@pytest.mark.parametrize(("missing", "suffix"), [("error", "csv"), ("mask", "csv"), ("interpolate", "jsonl")])
def test_forecasts_have_the_stamps_and_rows_of_the_run(tmp_path, missing, suffix, capsys):
    """Two series whose rows are not in order; with ``mask`` and ``interpolate`` one lacks rows and values."""
    from seriatim.cli.app import run as run_command

    rng = np.random.default_rng(0)
    rows = [
        {"shop": shop, "day": f"{day:02d}.{month:02d}.2026", "sold": float(rng.normal()), "rain": float(rng.normal())}
        for shop in ("a", "b") for month in (1, 2, 3) for day in range(1, 29)
    ]  # fmt: skip
    if missing != "error":
        rows[40]["sold"] = None
        rows[50]["rain"] = None
        del rows[20:23]
        rows[-1]["sold"] = None  # a row of the future
    rows = [rows[index] for index in np.r_[5, 0:5, 6 : len(rows)]]
    frame = polars.DataFrame(rows)
    file = tmp_path / f"sold.{suffix}"
    frame.write_csv(file) if suffix == "csv" else frame.write_ndjson(file)
    columns = {"target": "sold", "covariates": "rain", "id": "shop", "time": "day", "missing": missing, "horizon": 3}
    options = {"hidden": 4, "epochs": 1, "lookback": 6, "baselines": "none", "quiet": True}
    run = seriatim.train("forecast", file, model="gru", out=tmp_path / "run", **columns, **options)
    run.export(tmp_path / "exported")
    theirs = [*run.predict(file)]
    assert run_command(["predict", str(tmp_path / "exported"), str(file)]) == 0
    ours = [*map(json.loads, capsys.readouterr().out.splitlines())]
    assert [[*row] for row in ours] == [[*row] for row in theirs] and "time" in ours[0]
    for own, other in zip(ours, theirs, strict=True):
        assert [own[key] for key in ("id", "step", "time")] == [other[key] for key in ("id", "step", "time")]
        assert np.allclose([*own["sold"].values()], [*other["sold"].values()], atol=1e-5)


def test_rows_of_python_may_have_stamps(tmp_path):
    values = np.sin(np.arange(60.0))
    run = seriatim.train("forecast", values, model="naive", horizon=2, out=tmp_path / "run", quiet=True)
    run.export(tmp_path / "exported")
    model = seriatim.runtime.load(tmp_path / "exported")
    days = [date(2026, 1, 1) + timedelta(days=day) for day in range(60)]
    (row,) = model.predict([("1", values, days)])
    assert [*row][:3] == ["id", "step", "time"] and row["time"] == ["2026-03-02", "2026-03-03"]
    assert [step["time"] for step in model.csv_rows(row)] == row["time"]
    assert "time" not in next(model.predict([("1", values)]))
    for times, message in (
        (days[1:], "59 time stamps for 60 rows"),
        (days[::-1], "do not rise"),
        ([], "no time stamps"),
    ):
        with pytest.raises(DataError, match=f"series '1': .*{message}"):
            next(model.predict([("1", values, times)]))


def test_repeated_stamps_are_refused(tmp_path):
    frame = polars.DataFrame({"day": ["2026-01-01", "2026-01-02", "2026-01-02"], "x": [1.0, 2.0, 3.0]})
    long = polars.DataFrame({"day": [f"2026-01-{day:02d}" for day in range(1, 31)], "x": np.arange(30.0)})
    options = {"target": "x", "time": "day", "horizon": 2, "out": tmp_path / "run", "quiet": True}
    seriatim.train("forecast", long, model="naive", **options).export(tmp_path / "exported")
    model = seriatim.runtime.load(tmp_path / "exported")
    frame.write_csv(tmp_path / "twice.csv")
    with pytest.raises(DataError, match="column 'day': 2026-01-02 occurs twice in series '1'"):
        seriatim.runtime.reading.read_rows(model, tmp_path / "twice.csv")
