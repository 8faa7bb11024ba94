"""Laws of forecasters: untrained they are naive; a shifted and scaled window has a shifted and scaled forecast."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from seriatim.learning.recomputing import backward_in_segments
from seriatim.models.forecaster import DirectForecaster, Forecaster, RecursiveForecaster, WindowBatch, WindowShape
from seriatim.models.forecaster import build_forecaster as build
from seriatim.models.options import STREAMING
from seriatim.notation import QUANTILES
from seriatim.tasks.options import ForecastOptions

LOOKBACK, HORIZON, B = 12, 5, 4
MEDIAN = QUANTILES.index(0.5)
SHAPE = WindowShape(targets=2, covariates=1, lookback=LOOKBACK, horizon=HORIZON, season=4, masked=False, normalize=True)
STRATEGIES = ("direct", "recursive")
BOTH = [(strategy, name) for strategy in STRATEGIES for name in STREAMING] + [("direct", "mlp")]


def make(strategy: str, shape: WindowShape = SHAPE, cell: str = "lstm", *, stirred: bool = True) -> Forecaster:
    """A forecaster; ``stirred``: its head, zero at the start, says something."""
    torch.manual_seed(0)
    network = build(replace(ForecastOptions(), model=cell, hidden=8, layers=1), shape, strategy).eval()
    if stirred:
        assert isinstance(network, (DirectForecaster, RecursiveForecaster))
        torch.nn.init.normal_(network.output.weight, std=0.3)
    return network


def values(shape: WindowShape = SHAPE, steps: int = LOOKBACK, seed: int = 1) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    window = torch.randn(steps, B, shape.width, generator=draw).cumsum(0)
    if shape.masked:
        window[..., shape.channels :] = torch.rand(steps, B, shape.channels, generator=draw) > 0.3
    return window


@torch.no_grad()
def quantiles(network: Forecaster, history: torch.Tensor) -> torch.Tensor:
    return network.quantiles(history, np.random.default_rng(0))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("season", [1, 4, LOOKBACK, 99])
def test_untrained_median_is_seasonal_naive_forecast(season: int, normalize: bool) -> None:
    shape = replace(SHAPE, season=season, normalize=normalize)
    network, history = make("direct", shape, stirred=False), values()
    assert isinstance(network, DirectForecaster)
    torch.nn.init.zeros_(network.output.bias)
    lag = season if season <= LOOKBACK else 1  # longer than the window: the last value
    naive = torch.stack([history[LOOKBACK - lag + step % lag, :, :2] for step in range(HORIZON)], 1)
    torch.testing.assert_close(quantiles(network, history)[..., MEDIAN], naive, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("strategy", "cell"), BOTH)
def test_forecast_scales_and_shifts_with_its_window(strategy: str, cell: str) -> None:
    network, history = make(strategy, cell=cell), values()
    scale, shift = torch.tensor([3.0, 0.5, 10.0]), torch.tensor([-40.0, 7.0, 2.0])
    expected = quantiles(network, history) * scale[:2, None] + shift[:2, None]
    torch.testing.assert_close(quantiles(network, history * scale + shift), expected, rtol=1e-3, atol=1e-3)
    plain = make(strategy, replace(SHAPE, normalize=False), cell)
    shifted = quantiles(plain, history * scale + shift)
    assert not torch.allclose(shifted, quantiles(plain, history) * scale[:2, None] + shift[:2, None], rtol=1e-2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_quantiles_never_cross(strategy: str) -> None:
    result = quantiles(make(strategy), values())
    assert result.shape == (B, HORIZON, 2, len(QUANTILES))
    assert (result.diff(dim=-1) >= 0).all()


def test_unsorted_quantiles_do_cross() -> None:
    network = make("direct")
    assert isinstance(network, DirectForecaster)
    assert (network(values())[0].diff(dim=-1) < 0).any(), "the test above can fail"


@pytest.mark.parametrize(("strategy", "cell"), BOTH)
def test_windows_do_not_affect_each_other(strategy: str, cell: str) -> None:
    network, history = make(strategy, cell=cell), values()
    changed = history.clone()
    changed[:, 1:] = values(seed=9)[:, 1:]
    torch.testing.assert_close(quantiles(network, changed)[0], quantiles(network, history)[0])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_covariate_is_read(strategy: str) -> None:
    network, history = make(strategy), values()
    changed = history.clone()
    changed[:, :, 2] = values(seed=9)[:, :, 2]
    assert not torch.allclose(quantiles(network, changed), quantiles(network, history))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_missing_values_do_not_count(strategy: str) -> None:
    shape = replace(SHAPE, masked=True)
    network, history, future = make(strategy, shape), values(shape), values(shape, HORIZON, seed=2)
    future[..., shape.channels :] = 1.0
    future[-1, :, shape.channels] = 0.0  # the last step of the first target was filled in
    changed_future = future.clone()
    changed_future[-1, :, 0] += 100.0
    loss, changed = (
        network.loss(network.batch(WindowBatch(history, values)), ())[0] for values in (future, changed_future)
    )
    torch.testing.assert_close(changed, loss)
    changed_future[-1, :, shape.channels] = 1.0
    assert not torch.allclose(network.loss(network.batch(WindowBatch(history, changed_future)), ())[0], loss), (
        "it counts when it was there"
    )


def test_direct_loss_is_quantile_loss_by_hand() -> None:
    network, history, future = make("direct"), values(), values(steps=HORIZON, seed=2)
    loss, _ = network.loss(network.batch(WindowBatch(history, future)), ())
    assert isinstance(network, DirectForecaster)
    forecast, mean, deviation = (part.detach() for part in network(history))
    total = 0.0
    for b in range(B):
        for step in range(HORIZON):
            for target in range(2):
                actual = (future[step, b, target] - mean[b, target]) / deviation[b, target]
                for place, level in enumerate(QUANTILES):
                    error = float(actual - forecast[b, step, target, place])
                    total += max(level * error, (level - 1) * error)
    assert math.isclose(float(loss.detach()), total / (B * HORIZON * 2 * len(QUANTILES)), rel_tol=1e-4)


@pytest.mark.parametrize("cell", STREAMING)
def test_density_of_window_is_product_of_steps(cell: str) -> None:
    network = make("recursive", cell=cell)
    assert isinstance(network, RecursiveForecaster)
    history, future = values(), values(steps=HORIZON, seed=2)
    with torch.no_grad():
        joint = network.log_density(network.batch(WindowBatch(history, future)))[0].sum((0, 2))
        mean, deviation = history.mean(0), history.std(0, correction=0)
        inputs, carry, total = (torch.cat([history, future]) - mean) / deviation, (), torch.zeros(B)
        for step in range(LOOKBACK + HORIZON - 1):
            centre, spread, carry = network(inputs[step : step + 1], carry)
            total += torch.distributions.Normal(centre[0], spread[0]).log_prob(inputs[step + 1]).sum(-1)
    torch.testing.assert_close(joint, total, rtol=1e-5, atol=1e-4)


def test_recursive_loss_is_mean_negative_log_density() -> None:
    network, history, future = make("recursive"), values(), values(steps=HORIZON, seed=2)
    assert isinstance(network, RecursiveForecaster)
    density, _ = network.log_density(network.batch(WindowBatch(history, future)))
    loss, _ = network.loss(network.batch(WindowBatch(history, future)), ())
    torch.testing.assert_close(loss, -density.mean())


@pytest.mark.parametrize("cell", ["lstm", "gru", "lru"])
def test_recomputing_gives_the_gradient_of_the_recursive_loss(cell: str) -> None:
    network = make("recursive", cell=cell)
    assert isinstance(network, RecursiveForecaster)
    batch = network.batch(WindowBatch(values(), values(steps=HORIZON, seed=2)))
    actual = []
    for length in (None, 3):
        network.zero_grad()
        if length is None:
            network.loss(batch, ())[0].backward()
        else:
            backward_in_segments(network, batch, length)
        actual.append([parameter.grad for parameter in network.parameters()])
    for exact, pieced in zip(*actual, strict=True):
        torch.testing.assert_close(pieced, exact, rtol=1e-4, atol=1e-6)


def test_sampled_quantiles_match_gaussian_of_first_step() -> None:
    network = make("recursive")
    assert isinstance(network, RecursiveForecaster)
    history = values()
    mean, deviation = history.mean(0), history.std(0, correction=0)
    with torch.no_grad():
        centre, spread, _ = network((history - mean) / deviation)
        result = quantiles(network, history)[:, 0]
    middle = centre[-1] * deviation + mean
    width = spread[-1] * deviation
    # The deviation of a sample median is 1.25 σ / √n: four of them, over 100 paths, is half a σ.
    assert ((result[..., MEDIAN] - middle[:, :2]).abs() < 0.5 * width[:, :2]).all()
    assert ((result[..., 2] - result[..., 0]) / width[:, :2] - 2.56).abs().max() < 1.0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_flat_window_has_finite_forecast_and_gradient(strategy: str) -> None:
    network, history = make(strategy), torch.full((LOOKBACK, B, 3), 2.0)
    loss, _ = network.loss(network.batch(WindowBatch(history, history[:HORIZON])), ())
    loss.backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in network.parameters())
    assert quantiles(network, history).isfinite().all()


def test_lookback_of_one() -> None:
    for strategy in STRATEGIES:
        assert quantiles(make(strategy), values()[:1]).isfinite().all()
