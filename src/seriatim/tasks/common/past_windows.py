"""Comparison of closed-form forecasters over windows of the training part.

A validation part with a single window cannot say which forecaster is better. An AR, ETS or Theta model has so few
coefficients that its errors over many windows of the training part say more, although it was fitted to them. A network
may have learned such windows by heart, so it is not compared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from seriatim.models.naive.statistical import StatisticalForecaster
from seriatim.notation import QUANTILES
from seriatim.tasks.common.blend import Member, is_worse
from seriatim.tasks.common.forecast_data import ForecastCodec, target_values
from seriatim.tasks.common.mixture_weights import quantile_loss
from seriatim.tasks.common.rolling_origins import Rolling

Array = np.ndarray[Any, Any]

WINDOWS: Final = 40
"""The largest number of windows of one series. They do not overlap, so that their errors are nearly independent."""
FEWEST: Final = 8
"""With fewer windows in all, no forecaster is left out."""


def without_worse(
    members: Mapping[str, Member], codec: ForecastCodec, part: Rolling, horizon: int
) -> dict[str, Member]:
    """Return ``members`` without the closed-form forecasters that are clearly worse than the best of them.

    ``part`` gives the series and the ends of their training parts. The loss is the quantile loss in the deviations of
    each target.
    """
    losses = {
        name: _losses(member.model, codec, part, horizon)
        for name, member in members.items()
        if isinstance(member.model, StatisticalForecaster)
    }
    if not losses or len(next(iter(losses.values()))) < FEWEST:
        return dict(members)
    best = min(losses, key=lambda name: float(losses[name].mean()))
    return {
        name: member
        for name, member in members.items()
        if name not in losses or not is_worse(losses[name], losses[best])
    }


def _losses(model: StatisticalForecaster, codec: ForecastCodec, part: Rolling, horizon: int) -> Array:
    """Return the loss of each window, [N], of all series one after another."""
    targets, levels = len(codec.targets), np.array(QUANTILES)
    windows = []
    for series, end, position in zip(part.series, part.train_ends, part.positions, strict=True):
        origins = np.array(range(end - horizon, end // 2, -horizon)[:WINDOWS][::-1], np.int64)
        if not len(origins):
            continue
        values, is_observed = series.values[:, :targets], target_values(series, targets)
        steps = origins[:, None] + np.arange(horizon)
        error = values[steps][..., None] - model.forecast(position, values, origins, horizon)
        scaled = error / codec.scaler(series, end).scale[:targets, None]
        weight = is_observed[steps]
        total = (quantile_loss(scaled, levels).mean(-1) * weight).sum((1, 2))
        windows.append(total[weight.any((1, 2))] / weight.sum((1, 2))[weight.any((1, 2))])
    return np.concatenate(windows) if windows else np.empty(0)
