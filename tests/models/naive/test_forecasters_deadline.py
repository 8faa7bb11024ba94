"""Fits of statistical forecasters that end by a deadline: the series that are left get quick estimates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seriatim.models.naive.autoregressive import Autoregressive
from seriatim.models.naive.persistence import SeasonalNaive
from seriatim.models.naive.smoothing import FORMS, ExponentialSmoothing
from seriatim.models.naive.theta import Theta
from seriatim.notation import QUANTILES

SetSeconds = Callable[[float], None]
MODELS: list[Callable[[], Any]] = [lambda: Autoregressive(season=4), lambda: Theta(4), lambda: ExponentialSmoothing(4)]
SHARED = ("coefficients", "alpha", "parameters")
"""The estimate that a series without time takes from the series before it."""
MEDIAN = QUANTILES.index(0.5)


def many_series(count: int, rows: int = 80) -> list[np.ndarray]:
    """Series with the same season and other levels, sizes and noise."""
    draw = np.random.default_rng(0)
    season = np.tile([3.0, -1.0, 0.5, -2.5], rows // 4)
    return [(100 * number + 10 + (number + 1) * (season + draw.normal(size=rows)))[:, None] for number in range(count)]


@pytest.mark.parametrize(
    ("make", "seconds"), list(zip(MODELS, (0.5, 0.5, 5.5), strict=True)), ids=["ar", "theta", "ets (six forms)"]
)
def test_series_after_the_deadline_take_the_estimate_before(
    make: Callable[[], Any], seconds: float, slow_clock: SetSeconds
) -> None:
    series = many_series(5)
    slow_clock(1.0)
    model = make()
    assert model.fit(series, seconds=seconds) == "1 of 5 series"
    state = model.state_dict()
    (name,) = set(SHARED) & set(state)
    assert (state[name] == state[name][:1]).all()
    assert (state["deviation"] > 0).all() and len(np.unique(state["deviation"])) == 5, "each has its own"
    for number, values in enumerate(series):
        forecast = model.forecast(number, values, [len(values)], 4)[0, :, 0, MEDIAN]
        expected = [3.0, -1.0, 0.5, -2.5]
        assert np.corrcoef(forecast, expected)[0, 1] > 0.9
        np.testing.assert_allclose(forecast.mean(), values.mean(), atol=number + 1)


@pytest.mark.parametrize("make", MODELS, ids=["ar", "theta", "ets"])
def test_enough_time_changes_nothing(make: Callable[[], Any]) -> None:
    series = many_series(3)
    whole, bounded = make(), make()
    assert whole.fit(series) == "" and bounded.fit(series, seconds=1e6) == ""
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(array, bounded.state_dict()[name])
    assert not (whole.state_dict()["deviation"] == 0).any()


def test_whole_fits_are_counted_until_the_deadline(slow_clock: SetSeconds) -> None:
    slow_clock(1.0)
    assert Autoregressive().fit(many_series(8), seconds=3.5) == "4 of 8 series", "the first does not look at the clock"
    assert SeasonalNaive(4).fit(many_series(8), seconds=0.0) == "", "it needs no time"


def test_smoothing_tries_fewer_forms_as_time_passes(slow_clock: SetSeconds) -> None:
    slow_clock(1.0)
    model = ExponentialSmoothing(4)
    assert model.fit(many_series(1), seconds=3.5) == "0 of 1 series", "three forms are estimated before the deadline"
    assert model._last is not None and model._last.form in FORMS[:4]
    slow_clock(1.0)
    later = ExponentialSmoothing(4)
    limited_to = later.fit(many_series(6), seconds=24.0)
    assert limited_to == "1 of 6 series", "after a third, only the usual form is estimated"
    assert later._chosen.total() > 1 and len(later._chosen) == 1


def test_short_series_after_the_deadline_is_a_random_walk(slow_clock: SetSeconds) -> None:
    slow_clock(1.0)
    model = Autoregressive(season=4)
    assert model.fit([many_series(1)[0], np.arange(5.0)[:, None]], seconds=0.0) == "1 of 2 series"
    assert model.state_dict()["lags"][1] == 0 and model.state_dict()["differences"][1] == 1
