"""Forecasters that start from a fitted AR: untrained they are the AR, and the start is chosen, saved and updated."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seriatim
from seriatim.cli.scores import show_result
from seriatim.errors import UsageError
from seriatim.models.naive.autoregressive import Autoregressive
from seriatim.tasks.common import forecast_start
from seriatim.tasks.common.forecast_start import WindowReader
from seriatim.tasks.forecast import Forecast
from seriatim.tasks.options import ForecastOptions

TASK = Forecast()
OPTIONS = ForecastOptions(hidden=6, epochs=1, horizon=3, lookback=8, origins=4, start="ar")


def cycle(rows: int = 90, period: float = 7.3, level: float = 50.0) -> Any:
    noise = np.random.default_rng(3).normal(scale=0.05, size=rows)
    return level + np.sin(np.arange(rows) * 2 * np.pi / period) + noise


def untrained(source: Any, options: ForecastOptions = OPTIONS) -> tuple[Any, Any]:
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    TASK.plan(model, options, prepared)
    return model, prepared


@pytest.mark.parametrize("normalize", ["window", "none"])
def test_untrained_forecaster_is_the_fitted_autoregression(normalize: str) -> None:
    options = dataclasses.replace(OPTIONS, normalize=normalize)
    model, prepared = untrained([cycle(), cycle(period=5.1, level=-3.0)], options)
    autoregression = model.start.new()
    ends = zip(prepared.train.series, prepared.train.train_ends, strict=True)
    autoregression.fit([series.values[:end] for series, end in ends])
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    expected = TASK.score(autoregression, options, prepared.codec, prepared.test)
    assert scores == pytest.approx(expected, rel=1e-4)  # the network computes in float32
    assert scores["quantile_loss"] < 0.1


def test_start_is_the_model_with_smaller_errors() -> None:
    options = dataclasses.replace(OPTIONS, start="auto")
    model, _ = untrained([cycle()], options)
    assert model.start.is_used
    pattern = np.tile([1.0, 9.0, 4.0, 4.0, 2.0, 7.0, 0.0, 3.0], 12)  # one lag says little, one season everything
    model, prepared = untrained([pattern], dataclasses.replace(options, season=8, lags=1))
    assert not model.start.is_used
    assert TASK.score(model, options, prepared.codec, prepared.test)["rmse"] == pytest.approx(0.0, abs=1e-5)


def test_new_series_starts_from_its_own_autoregression() -> None:
    model, prepared = untrained([cycle()])
    new = cycle(period=4.4, level=1000.0)
    rows = list(TASK.predict(model, OPTIONS, prepared.codec, [cycle(), new]))
    end = np.array([len(new)])
    expected = model.start.new().forecast(None, new[:, None], end, OPTIONS.horizon)[0, :, 0, 1]
    assert rows[1]["1"]["0.5"] == pytest.approx(expected.tolist(), rel=1e-5)


def test_later_plans_keep_the_start() -> None:
    model, prepared = untrained([cycle()])
    before = model.start.arrays()
    TASK.plan(model, OPTIONS, TASK.prepare(OPTIONS, [cycle(period=9.0)], prepared.codec))  # as an update does
    for name, values in before.items():
        assert np.array_equal(model.start.arrays()[name], values), name


def test_start_is_saved_and_an_update_keeps_it(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "hidden": 6,
        "epochs": 2,
        "horizon": 3,
        "lookback": 8,
        "baselines": "fast",
        "quiet": True,
    }
    run = seriatim.train("forecast", [cycle()], out=str(tmp_path / "run"), **options)
    assert run.options.start == "auto"
    network = seriatim.load(tmp_path / "run")._opened.network
    before = {name: value.clone() for name, value in network.state_dict().items() if name.startswith("start.")}
    assert before["start.is_used"]
    run.update([cycle(period=9.0)], epochs=1)
    after = seriatim.load(tmp_path / "run")._opened.network.state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value), name
    assert not torch.equal(after["output.weight"], network.state_dict()["output.weight"])


def test_start_is_fitted_within_a_share_of_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    series = [cycle(level=10.0 * number, rows=60) for number in range(6)]
    limits = []

    def fit(self: Autoregressive, values: Any, *, seconds: float = np.inf) -> str:
        limits.append(seconds)
        return original(self, values, seconds=0.0 if len(limits) == 1 else seconds)  # the first is the start

    original = Autoregressive.fit
    monkeypatch.setattr(Autoregressive, "fit", fit)
    options: dict[str, Any] = {"hidden": 4, "horizon": 3, "lookback": 8, "baselines": "fast", "quiet": True}
    run = seriatim.train("forecast", series, start="ar", time_limit=4.0, epochs=1, out=str(tmp_path / "run"), **options)
    assert limits == [0.5, 4.0], "half of a quarter for the start, and all for the baseline"
    assert run.result["limited"] == {"lstm": "1 of 6 series for the AR that it starts from"}
    coefficients = run._opened.network.start.arrays()["coefficients"]
    assert (coefficients == coefficients[:1]).all()
    show_result(run, run.result, run.verdict())
    assert "lstm: fitted on 1 of 6 series for the AR that it starts from, to bound its time" in capsys.readouterr().out


def test_start_is_compared_on_fewer_windows_without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    batch = WindowReader.batch

    def counted(self: WindowReader, indices: Any) -> Any:
        counts.append(len(indices))
        return batch(self, indices)

    monkeypatch.setattr(WindowReader, "batch", counted)
    monkeypatch.setattr(forecast_start, "BATCH", 10)
    options = dataclasses.replace(OPTIONS, start="auto")
    untrained([cycle()], options)
    assert sum(counts) > 60
    counts.clear()
    monkeypatch.setattr(forecast_start, "start_seconds", lambda options: 0.0)
    model, _ = untrained([cycle()], options)
    assert counts == [1, 10], "one batch of each part" and model.start.is_used


def test_resumed_training_starts_from_the_saved_model() -> None:
    model, prepared = untrained([cycle(), cycle(period=5.1)])
    reader = WindowReader(model, prepared.codec, prepared.train, OPTIONS.horizon)
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    saved["start.constant"] += 1.0  # a fit that the time limit cut elsewhere
    model.load_state_dict(saved)
    start = reader.batch(np.array([0])).start
    expected = model.fitted_start().forecast(
        0, prepared.train.series[0].values, [prepared.train.origins[0].start], OPTIONS.horizon
    )
    scaler = prepared.codec.scalers["1"]
    np.testing.assert_allclose(start.numpy(), (expected - scaler.mean) / scaler.scale, rtol=1e-5)


def test_recursive_strategy_has_no_fitted_start() -> None:
    with pytest.raises(UsageError, match="start: ar is for --strategy direct"):
        TASK.check(dataclasses.replace(OPTIONS, strategy="recursive"))
    assert "start" not in TASK.model_defaults({"strategy": "recursive"})
    assert "start" not in TASK.model_defaults({"model": "ar"})
    assert TASK.model_defaults({})["start"] == "auto"
