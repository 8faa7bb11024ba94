"""ETS and the Theta method."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from seriatim.models.naive.smoothing import ExponentialSmoothing
from seriatim.models.naive.statistical import StatisticalForecaster
from seriatim.models.naive.theta import Theta

MAKERS = {"theta": Theta, "ets": ExponentialSmoothing}
every_model = pytest.mark.parametrize("name", MAKERS)


def seasonal(steps: int, season: int, slope: float = 0.3, noise: float = 0.2, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    time = np.arange(steps)
    values = 50 + slope * time + 8 * np.sin(2 * np.pi * time / season) + draw.normal(scale=noise, size=steps)
    return values[:, None]


@every_model
def test_line_with_season_is_continued(name: str) -> None:
    values = seasonal(132, 12)
    model = MAKERS[name](12)
    model.fit([values[:108]])
    forecast = model.forecast(0, values, [108], 24)[0, :, 0, 1]
    naive_error = np.abs(values[12:108] - values[:96]).mean()
    # Theta continues half of the slope, and its seasonal factors grow with the level.
    limit = {"theta": 0.7, "ets": 0.3}[name]
    assert np.abs(forecast - values[108:, 0]).mean() < limit * naive_error


@every_model
def test_forecast_sees_only_the_past(name: str) -> None:
    values = seasonal(80, 4)
    model = MAKERS[name](4)
    model.fit([values[:60]])
    origins = [60, 63, 70]
    together = model.forecast(0, values, origins, 5)
    for index, origin in enumerate(origins):
        changed = values.copy()
        changed[origin:] = -99.0 if name == "ets" else 1e3
        np.testing.assert_allclose(model.forecast(0, changed, [origin], 5)[0], together[index], rtol=1e-9)


@every_model
def test_quantiles_contain_their_share(name: str) -> None:
    draw = np.random.default_rng(1)
    values = (100 + np.cumsum(draw.normal(size=1200)))[:, None]
    model = MAKERS[name](1)
    model.fit([values[:600]])
    quantiles = model.forecast(0, values, np.arange(600, 1190), 10)
    actual = np.stack([values[origin : origin + 10] for origin in range(600, 1190)])
    inside = (quantiles[..., 0] <= actual) & (actual <= quantiles[..., 2])
    assert 0.65 < inside.mean() < 0.92


@every_model
@pytest.mark.parametrize(
    "values", [[3.0], [3.0, 3.0], [1.0, 2.0, 4.0], [5.0] * 40, [0.0] * 30, [-1.0, 1.0] * 20], ids=str
)
def test_short_and_constant_series(name: str, values: list[float]) -> None:
    series = np.array(values)[:, None]
    model = MAKERS[name](2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit([series, series])
        assert np.isfinite(model.forecast(1, series, [len(series)], 6)).all()
        assert np.isfinite(model.forecast(None, series, [len(series)], 6)).all()


@every_model
def test_stored_model_forecasts_alike(name: str) -> None:
    series = [np.hstack([seasonal(60, 4, seed=seed), seasonal(60, 4, slope=-1.0, seed=seed + 9)]) for seed in range(2)]
    model, copy = MAKERS[name](4), MAKERS[name](4)
    model.fit(series)
    copy.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(copy.forecast(1, series[1], [50, 60], 7), model.forecast(1, series[1], [50, 60], 7))
    assert isinstance(model, StatisticalForecaster) and model.parameters_count > 0


def test_recursion_equals_statsmodels() -> None:
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    values = seasonal(96, 4, noise=1.0)
    model = ExponentialSmoothing(4)
    model.fit([values])
    fitted = {name: array[0] for name, array in model.state_dict().items()}
    alpha, beta, gamma, phi = fitted["parameters"][0]
    reference = ETSModel(
        values[:, 0], error="add", trend="add", damped_trend=True, seasonal="add", seasonal_periods=4,
        initialization_method="known", initial_level=fitted["states"][0, 0], initial_trend=fitted["states"][0, 1],
        initial_seasonal=fitted["seasons"][0],
    )  # fmt: skip
    result = reference.smooth([alpha, beta, gamma, phi])
    np.testing.assert_allclose(model.forecast(0, values, [96], 9)[0, :, 0, 1], result.forecast(9), rtol=1e-6)


def test_theta_equals_statsmodels_without_season() -> None:
    from statsmodels.tsa.forecasting.theta import ThetaModel

    values = seasonal(80, 7, noise=2.0)
    model = Theta(1)
    model.fit([values])
    expected = ThetaModel(values[:, 0], deseasonalize=False).fit(disp=False).forecast(6)
    np.testing.assert_allclose(model.forecast(0, values, [80], 6)[0, :, 0, 1], expected, rtol=2e-3)
