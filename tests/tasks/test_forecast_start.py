"""Forecasters that start from a fitted AR: untrained they are the AR, and the start is chosen, saved and updated."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seriatim
from seriatim.errors import UsageError
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


def test_recursive_strategy_has_no_fitted_start() -> None:
    with pytest.raises(UsageError, match="start: ar is for --strategy direct"):
        TASK.check(dataclasses.replace(OPTIONS, strategy="recursive"))
    assert "start" not in TASK.model_defaults({"strategy": "recursive"})
    assert "start" not in TASK.model_defaults({"model": "ar"})
    assert TASK.model_defaults({})["start"] == "auto"
