"""Frames of Nixtla's libraries: ``unique_id, ds, y`` without options, and forecasts as such frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest

import seriatim
from seriatim.errors import UsageError
from seriatim.estimators import SeriatimForecaster

OPTIONS: Any = {"model": "seasonal_naive", "horizon": 3, "season": 7, "baselines": "none", "quiet": True}


def frame(ids: tuple[Any, Any] = ("a", "b")) -> pandas.DataFrame:
    """Two series of days that repeat each week."""
    days = pandas.date_range("2024-01-01", periods=42, freq="D")
    parts = [
        pandas.DataFrame({"unique_id": id, "ds": days, "y": np.arange(42) % 7 + 10.0 * number, "price": 1.0})
        for number, id in enumerate(ids)
    ]
    return pandas.concat(parts, ignore_index=True)


def test_pandas_frame_in_and_out(tmp_path: Path) -> None:
    data = frame()
    run = seriatim.train("forecast", data, out=tmp_path / "run", **OPTIONS)
    assert (run.options.target, run.options.time, run.options.id) == (("y",), "ds", "unique_id")
    forecast = run.forecast(data)
    name = "seasonal_naive"
    assert list(forecast.columns) == ["unique_id", "ds", name, f"{name}-lo-80", f"{name}-hi-80"]
    assert forecast["unique_id"].tolist() == ["a"] * 3 + ["b"] * 3
    assert forecast["ds"].dtype == data["ds"].dtype
    assert forecast["ds"].tolist()[:3] == list(pandas.date_range("2024-02-12", periods=3, freq="D"))
    assert forecast[name].tolist() == [0, 1, 2, 10, 11, 12]
    merged = data.merge(forecast, on=["unique_id", "ds"], how="outer")
    assert len(merged) == len(data) + 6


def test_types_of_ids_and_zones_are_kept(tmp_path: Path) -> None:
    data = frame((7, 8))
    data["ds"] = data["ds"].dt.tz_localize("Europe/Berlin")
    forecast = seriatim.train("forecast", data, out=tmp_path / "run", **OPTIONS).forecast(data)
    assert (
        forecast["unique_id"].tolist() == [7] * 3 + [8] * 3 and forecast["unique_id"].dtype == data["unique_id"].dtype
    )
    assert str(forecast["ds"].dtype) == str(data["ds"].dtype)
    assert forecast["ds"][0] == pandas.Timestamp("2024-02-12", tz="Europe/Berlin")


@pytest.mark.parametrize("type_", [polars.Date, polars.Datetime("us")])
def test_polars_frame_in_and_out(type_: Any, tmp_path: Path) -> None:
    data = polars.DataFrame(frame().to_dict("list")).with_columns(polars.col("ds").cast(type_))
    forecast = seriatim.train("forecast", data, out=tmp_path / "run", **OPTIONS).forecast(data)
    assert isinstance(forecast, polars.DataFrame) and forecast.schema["ds"] == type_
    assert forecast["seasonal_naive"].to_list() == [0, 1, 2, 10, 11, 12]


def test_files_and_whole_numbers_as_stamps(tmp_path: Path) -> None:
    data = frame()
    data["ds"] = np.tile(np.arange(42), 2)
    data.to_csv(tmp_path / "series.csv", index=False)
    run = seriatim.train("forecast", tmp_path / "series.csv", out=tmp_path / "run", **OPTIONS)
    forecast = run.forecast(tmp_path / "series.csv")
    assert forecast["ds"].to_list() == [42, 43, 44] * 2 and forecast.columns[0] == "unique_id"
    assert run.forecast(data)["ds"].dtype == data["ds"].dtype


def test_named_columns_and_other_tables_are_as_before(tmp_path: Path) -> None:
    data = frame()
    run = seriatim.train("forecast", data[data["unique_id"] == "a"], target="price", out=tmp_path / "run", **OPTIONS)
    assert run.options.id is None and run.options.target == ("price",)
    with pytest.raises(UsageError, match="target: name the column"):
        seriatim.train("forecast", data.drop(columns="ds"), out=tmp_path / "other", **OPTIONS)


def test_several_targets_have_names_of_their_own(tmp_path: Path) -> None:
    data = frame()
    options = {**OPTIONS, "target": "y,price", "id": "unique_id", "time": "ds"}
    columns = seriatim.train("forecast", data, out=tmp_path / "run", **options).forecast(data).columns
    assert list(columns)[2:4] == ["y-seasonal_naive", "y-seasonal_naive-lo-80"] and "price-seasonal_naive" in columns


def test_forecast_is_for_forecast_runs(tmp_path: Path) -> None:
    texts = (["a b", "c d"] * 20, ["x", "y"] * 20)
    run = seriatim.train("classify", texts, model="majority", baselines="none", out=tmp_path / "run", quiet=True)
    with pytest.raises(UsageError, match="for forecast runs; this is a classify run"):
        run.forecast(texts)


def test_estimator_takes_and_gives_frames() -> None:
    data = frame()
    forecaster = SeriatimForecaster(model="seasonal_naive", horizon=3, season=7).fit(data)
    assert forecaster.predict(data)["seasonal_naive"].tolist() == [0, 1, 2, 10, 11, 12]
    assert np.isnan(forecaster.score(data)), "MASE of series that repeat themselves exactly"
    data["y"] += np.random.default_rng(0).normal(size=len(data))
    assert -3 < forecaster.score(data) < 0
