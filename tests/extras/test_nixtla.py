"""Frames of Nixtla's own libraries: Seriatim reads what they make, and they read what ``Run.forecast`` returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars
import pytest

import seriatim

pytest.importorskip("utilsforecast", reason="wants Nixtla's libraries; scripts/test-extras installs them")

pytestmark = pytest.mark.filterwarnings("ignore")  # their own libraries warn

HORIZON = 7
MODEL = "seasonal_naive"
KEYS = ["unique_id", "ds"]


def series(engine: str = "pandas") -> Any:
    """Daily series with a weekly season, by Nixtla's generator. Its ids are categories."""
    from utilsforecast.data import generate_series

    return generate_series(4, freq="D", min_length=60, max_length=90, engine=engine, seed=1)


def forecast_of(data: Any, out: Path) -> Any:
    options: dict[str, Any] = {"horizon": HORIZON, "season": 7, "baselines": "none", "quiet": True}
    return seriatim.train("forecast", data, model=MODEL, out=out, **options).forecast(data)


def test_utilsforecast_scores_a_forecast(tmp_path: Path) -> None:
    from utilsforecast.evaluation import evaluate
    from utilsforecast.losses import coverage, mae

    data = series()
    last = data.groupby("unique_id", observed=True).tail(HORIZON)
    forecast = forecast_of(data.drop(last.index), tmp_path / "run")
    assert (forecast["unique_id"].dtype, forecast["ds"].dtype) == (data["unique_id"].dtype, data["ds"].dtype)
    joined = last.merge(forecast, on=KEYS)
    assert len(joined) == 4 * HORIZON
    scores = evaluate(joined, metrics=[mae, coverage], models=[MODEL], level=[80])
    errors = (joined["y"] - joined[MODEL]).abs().groupby(joined["unique_id"], observed=True).mean()
    assert scores.query("metric == 'mae'")[MODEL].tolist() == pytest.approx(errors.tolist())
    inside = (joined["y"] >= joined[f"{MODEL}-lo-80"]) & (joined["y"] <= joined[f"{MODEL}-hi-80"])
    assert scores.query("metric == 'coverage_level80'")[MODEL].mean() == pytest.approx(inside.mean())


def test_frame_of_polars_goes_in_and_out(tmp_path: Path) -> None:
    data = series("polars")
    forecast = forecast_of(data, tmp_path / "run")
    assert isinstance(forecast, polars.DataFrame) and len(forecast) == 4 * HORIZON
    assert [forecast.schema[name] for name in KEYS] == [data.schema[name] for name in KEYS]


def test_forecast_stands_beside_that_of_statsforecast(tmp_path: Path) -> None:
    statsforecast = pytest.importorskip("statsforecast")
    from statsforecast.models import SeasonalNaive

    data = series()
    theirs = statsforecast.StatsForecast([SeasonalNaive(7)], freq="D").forecast(df=data, h=HORIZON)
    joined = forecast_of(data, tmp_path / "run").merge(theirs, on=KEYS, how="outer")
    assert len(joined) == 4 * HORIZON  # the same ids and days
    assert joined[MODEL].tolist() == pytest.approx(joined["SeasonalNaive"].tolist(), rel=1e-5)


def test_forecast_stands_beside_that_of_neuralforecast(tmp_path: Path) -> None:
    neuralforecast = pytest.importorskip("neuralforecast")
    from neuralforecast.models import MLP

    data = series()
    network = MLP(h=HORIZON, input_size=14, max_steps=2, enable_progress_bar=False, logger=False, accelerator="cpu")
    theirs = neuralforecast.NeuralForecast([network], freq="D")
    theirs.fit(data)
    joined = forecast_of(data, tmp_path / "run").merge(theirs.predict(), on=KEYS, how="outer")
    assert len(joined) == 4 * HORIZON and joined[[MODEL, "MLP"]].notna().all(axis=None)
