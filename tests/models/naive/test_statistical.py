"""Laws that every statistical forecaster keeps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load, save

from seriatim.errors import DataError, UsageError
from seriatim.models.naive.autoregressive import Autoregressive
from seriatim.models.naive.persistence import Drift, Naive, SeasonalNaive
from seriatim.models.naive.statistical import StatisticalForecaster

MODELS: dict[str, Callable[[], StatisticalForecaster]] = {
    "naive": Naive,
    "seasonal_naive": lambda: SeasonalNaive(4),
    "drift": Drift,
    "ar": lambda: Autoregressive(season=4),
    "ar_fixed": lambda: Autoregressive(lags=3, ridge=0.1),
}
every_model = pytest.mark.parametrize("name", MODELS)


def series(rows: int, channels: int, seed: int = 0) -> np.ndarray:
    """A season of four, a walk and noise."""
    generator = np.random.default_rng(seed)
    season = np.sin(np.arange(rows) * np.pi / 2)[:, None]
    return season + generator.normal(size=(rows, channels)) + 0.3 * generator.normal(size=(rows, channels)).cumsum(0)


def fitted(name: str, *values: np.ndarray) -> StatisticalForecaster:
    model = MODELS[name]()
    model.fit(values)
    return model


@every_model
def test_origins_together_equal_single_origins(name: str) -> None:
    values = series(60, 2)
    model = fitted(name, values[:40])
    together = model.forecast(0, values, np.arange(1, 61), 7)
    assert together.shape == (60, 7, 2, 3)
    for origin in (1, 3, 17, 60):
        alone = model.forecast(0, values, [origin], 7)[0]
        # Matrix products of other shapes may sum in another order; values are of order one.
        np.testing.assert_allclose(together[origin - 1], alone, rtol=0, atol=1e-12)


@every_model
def test_future_does_not_change_forecast(name: str) -> None:
    values = series(120, 1)
    model = fitted(name, values[:90])
    changed = values.copy()
    changed[100:] += 100
    assert np.array_equal(model.forecast(0, values, [90, 100], 5), model.forecast(0, changed, [90, 100], 5))
    unseen = [model.forecast(None, arguments, [100], 5) for arguments in (values, changed)]
    assert np.array_equal(*unseen)
    assert not np.array_equal(model.forecast(0, values, [105], 5), model.forecast(0, changed, [105], 5))
    for origin in (1, 2, 3):  # shorter than the model looks back
        whole, cut = (model.forecast(0, arguments, [origin], 5) for arguments in (values, values[:origin]))
        assert np.array_equal(whole, cut)


@every_model
def test_series_and_channels_do_not_affect_each_other(name: str) -> None:
    first, second = series(50, 2, seed=1), series(33, 2, seed=2)
    both_targets, alone = fitted(name, second, first), fitted(name, first[:, 1:])
    np.testing.assert_allclose(
        both_targets.forecast(1, first, [50], 6)[:, :, 1:], alone.forecast(0, first[:, 1:], [50], 6), rtol=0, atol=1e-12
    )


@every_model
def test_new_series_is_fitted_on_its_past(name: str) -> None:
    train, new = series(40, 1, seed=1), series(50, 1, seed=2)
    model = fitted(name, train)
    expected = fitted(name, new[:30]).forecast(0, new, [30, 45], 5)
    assert np.array_equal(model.forecast(None, new, [30, 45], 5), expected)


@every_model
def test_intervals_widen_and_quantiles_ascend(name: str) -> None:
    values = series(60, 2)
    quantiles = fitted(name, values).forecast(0, values, [60], 12)[0]
    assert (np.diff(quantiles, axis=-1) > 0).all()
    width = quantiles[..., 2] - quantiles[..., 0]
    assert (np.diff(width, axis=0) > -1e-12).all()


@every_model
def test_constant_series_has_no_spread(name: str) -> None:
    values = np.full((30, 1), 7.5)
    quantiles = fitted(name, values).forecast(0, values, [2, 30], 9)
    np.testing.assert_allclose(quantiles, 7.5, rtol=1e-12)


@every_model
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_finite_values_give_finite_forecasts(name: str, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 40))
    number = st.floats(-1e100, 1e100) | st.sampled_from([0.0, 1.0, 1e-300, 1e9])
    values = data.draw(arrays(np.float64, (rows, 1), elements=number))
    train = data.draw(st.integers(1, rows))
    model = fitted(name, values[:train])
    origins = np.arange(1, rows + 1)
    for position in (0, None):
        assert np.isfinite(model.forecast(position, values, origins, 30)).all()
    assert np.isfinite(model.sample(0, values, 30, np.random.default_rng(0))).all()


@every_model
def test_trajectories_have_the_forecasts_quantiles(name: str) -> None:
    values = series(80, 2)
    model = fitted(name, values)
    paths = model.sample(0, values[:8], 6, np.random.default_rng(0), samples=20_000)
    assert paths.shape == (6, 20_000, 2)
    forecast = model.forecast(0, values, [8], 6)[0]
    expected = np.moveaxis(np.quantile(paths, [0.1, 0.5, 0.9], axis=1), 0, -1)
    # The error of a sampled 10 % quantile is 1.71 σ/√S; five of those, with σ the width of the band / 2.56.
    bound = 5 * 1.71 / np.sqrt(20_000) * (forecast[..., 2:] - forecast[..., :1]) / 2.56
    assert (np.abs(expected - forecast) < bound).all()


@every_model
def test_trajectories_depend_on_seed(name: str) -> None:
    values = series(40, 1)
    model = fitted(name, values)
    first, second, third = (model.sample(0, values, 5, np.random.default_rng(seed), 3) for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


@every_model
def test_log_probability_is_sum_of_one_step_forecasts(name: str) -> None:
    values = series(40, 2)
    model = fitted(name, values)
    reach = model._reach({key: array[0] for key, array in model.state_dict().items()})
    total = 0.0
    for origin in range(reach, 40):
        low, middle, high = np.moveaxis(model.forecast(0, values, [origin], 1)[0, 0], -1, 0)
        sigma = (high - low) / (2 * 1.2815515655446004)
        shock = (values[origin] - middle) / sigma
        total += float((-0.5 * shock**2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)).sum())
    assert model.log_probability(0, values) == pytest.approx(total, rel=1e-9)
    assert model.log_probability(None, values) == pytest.approx(total, rel=1e-9)


@every_model
def test_log_probability_of_constant_series_is_finite(name: str) -> None:
    model = fitted(name, np.full((20, 1), 2.0))
    assert np.isfinite(model.log_probability(0, np.full((30, 1), 2.0)))
    assert model.log_probability(0, np.full((30, 1), 2.0)) > model.log_probability(0, series(30, 1))
    assert model.log_probability(0, np.full((1, 1), 2.0)) == 0.0


@every_model
def test_restored_state_is_bit_equal(name: str) -> None:
    first, second = series(50, 2, seed=1), series(33, 2, seed=2)
    model, again = fitted(name, first, second), MODELS[name]()
    again.load_state_dict(load(save(model.state_dict())))
    assert np.array_equal(again.forecast(1, second, [20, 33], 6), model.forecast(1, second, [20, 33], 6))
    assert again.parameters_count == model.parameters_count > 0


@every_model
def test_damaged_state_is_refused_and_changes_nothing(name: str) -> None:
    values = series(30, 1)
    model = fitted(name, values)
    forecast = model.forecast(0, values, [30], 3)
    good = model.state_dict()
    sigma = good["deviation"]
    for damaged, message in (
        ({}, "state: got"),
        (good | {"other": sigma}, "other"),
        (good | {"deviation": sigma[0]}, "axes"),
        (good | {"deviation": sigma.astype(np.float32)}, "float32"),
        (good | {"deviation": sigma * np.nan}, "not finite"),
        (good | {"deviation": -sigma}, "below 0"),
        (good | {"deviation": sigma[:0]}, "axes"),
    ):
        with pytest.raises(ValueError, match=message):
            model.load_state_dict(damaged)
    assert np.array_equal(model.forecast(0, values, [30], 3), forecast)


@every_model
def test_invalid_arguments_are_refused(name: str) -> None:
    values = series(30, 1)
    model = fitted(name, values)
    for origins in ([0], [31], [0.5], [[3]]):
        with pytest.raises(UsageError, match="origins"):
            model.forecast(0, values, origins, 3)
    with pytest.raises(UsageError, match="horizon: got 0"):
        model.forecast(0, values, [3], 0)
    with pytest.raises(UsageError, match="series: got 1, wanted 0 to 0"):
        model.forecast(1, values, [3], 3)
    with pytest.raises(DataError, match="2 channels, wanted 1"):
        model.forecast(0, series(30, 2), [3], 3)
    with pytest.raises(DataError, match="row 4, channel 1: nan"):
        model.forecast(0, np.where(np.arange(30) == 3, np.nan, 1.0)[:, None], [30], 3)
    with pytest.raises(UsageError, match="not fitted"):
        MODELS[name]().forecast(0, values, [3], 3)
    with pytest.raises(UsageError, match="steps, samples"):
        model.sample(0, values, 0, np.random.default_rng(0))
    with pytest.raises(DataError, match="no series"):
        model.fit([])
    with pytest.raises(DataError, match=r"series 0: got shape \(30,\)"):
        model.fit([values[:, 0]])
    with pytest.raises(DataError, match="series 1 has 2 channels"):
        model.fit([values, series(30, 2)])


@every_model
def test_no_origins_give_empty_forecast(name: str) -> None:
    assert fitted(name, series(30, 2)).forecast(None, series(30, 2), [], 5).shape == (0, 5, 2, 3)
