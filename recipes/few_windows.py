"""How should forecasts be weighed whose losses are known from a few validation windows?

    python recipes/few_windows.py DATA                the table of docs/defaults.md, about a minute
    python recipes/few_windows.py DATA --series 20    fewer series of M4 hourly, spread over all

For each series of ``DATA/m4_hourly/Hourly-train.csv`` and several horizons it fits ``ar``, ``theta``, ``ets`` and
``seasonal_naive`` to the training part, and mixes them by their quantile losses on the validation part, as ``train
forecast`` does. The last 24 origins are the test part. The figures are the quantile loss on the test part divided by
the loss of the model that is best there, as a geometric mean over series and horizons.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seriatim.models.naive.autoregressive import Autoregressive
from seriatim.models.naive.persistence import SeasonalNaive
from seriatim.models.naive.smoothing import ExponentialSmoothing
from seriatim.models.naive.theta import Theta
from seriatim.notation import QUANTILES
from seriatim.tasks.common.mixture_weights import loss_weights, quantile_loss
from seriatim.tasks.common.rolling_origins import actual_windows, default_valid_windows

SEASON, ORIGINS, LOOKBACK = 24, 24, 48
POWERS = (0.0, 2.0, 4.0, 5.0, 6.0, 8.0)
RATIOS = (1.2, 1.25, 1.5, np.inf)
LEVELS = np.array(QUANTILES)


@dataclass(frozen=True)
class Forecasts:
    """The forecasts of one series and horizon by all models."""

    losses: np.ndarray
    """[M]: the mean quantile loss of each model on the validation part."""
    quantiles: np.ndarray
    """[M, N, horizon, Q] on the test part."""
    actual: np.ndarray
    """[N, horizon]."""

    def loss(self, weights: np.ndarray) -> float:
        """Return the quantile loss of a mixture on the test part, as a multiple of the best model's loss there."""
        best = min(_loss(own, self.actual) for own in self.quantiles)
        return _loss(np.tensordot(weights, self.quantiles, 1), self.actual) / best


def forecasts(values: np.ndarray, horizon: int) -> Forecasts:
    """Fit all models to one series [T, 1], and forecast its validation and test part."""
    first_test = len(values) - horizon - ORIGINS + 1
    first_valid = first_test - horizon * default_valid_windows(first_test, horizon, LOOKBACK)
    parts = (range(first_valid, first_test - horizon + 1), range(first_test, len(values) - horizon + 1))
    actual = [actual_windows(values, part, horizon)[:, :, 0] for part in parts]
    losses, quantiles = [], []
    for model in (Autoregressive(season=SEASON), Theta(SEASON), ExponentialSmoothing(SEASON), SeasonalNaive(SEASON)):
        model.fit([values[:first_valid]])
        valid, test = (model.forecast(0, values, np.array(part), horizon)[:, :, 0] for part in parts)
        losses.append(_loss(valid, actual[0]))
        quantiles.append(test)
    return Forecasts(np.array(losses), np.stack(quantiles), actual[1])


def _loss(quantiles: np.ndarray, actual: np.ndarray) -> float:
    return float(quantile_loss(actual[..., None] - quantiles, LEVELS).mean())


def hourly_series(file: Path, count: int) -> Iterator[np.ndarray]:
    """Yield ``count`` series [T, 1], spread over the file."""
    with file.open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))[1:]
    for index in np.linspace(0, len(rows) - 1, count).astype(int):
        yield np.array([float(value) for value in rows[index][1:] if value])[:, None]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--horizons", type=int, nargs="+", default=[6, 12, 24])
    settings = parser.parse_args()
    series = list(hourly_series(settings.data / "m4_hourly" / "Hourly-train.csv", settings.series))
    cases = [forecasts(values, horizon) for values in series for horizon in settings.horizons]

    def mean(*weights: np.ndarray) -> float:
        return float(np.exp(np.mean([np.log(case.loss(own)) for case, own in zip(cases, weights, strict=True)])))

    print("| | " + " | ".join(f"p = {power:g}" for power in POWERS) + " |\n|" + "---|" * (len(POWERS) + 1))
    for ratio in RATIOS:
        means = [
            mean(*(loss_weights(case.losses, power=power, largest_ratio=ratio) for case in cases)) for power in POWERS
        ]
        print(f"| r = {ratio:g} | " + " | ".join(f"{value:.3f}" for value in means) + " |")
    best = mean(*(np.eye(len(case.losses))[case.losses.argmin()] for case in cases))
    print(f"the model that validates best, alone: {best:.3f}")


if __name__ == "__main__":
    main()
