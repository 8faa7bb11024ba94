"""The choice among forecasters, and the weights of their blend, by their quantiles on the validation part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from seriatim.notation import QUANTILES
from seriatim.tasks.common import forecast_data
from seriatim.tasks.common.blend import Choice, Member, choose_quantiles
from seriatim.tasks.common.forecast_data import ForecastCodec
from seriatim.tasks.common.forecast_quantiles import forecast_quantiles
from seriatim.tasks.common.rolling_origins import Rolling, actual_windows

Array = np.ndarray[Any, Any]


def choose_blend(members: Mapping[str, Member], codec: ForecastCodec, valid: Rolling) -> Choice:
    """Choose among ``members`` by the quantile loss on the validation part, each value in its series' deviations."""
    targets = len(codec.targets)
    options = next(iter(members.values())).options
    scales = [
        codec.scaler(series, end).scale[:targets, None]
        for series, end in zip(valid.series, valid.train_ends, strict=True)
    ]
    predicted = {
        name: _joined(
            quantiles / scale
            for quantiles, scale in zip(
                forecast_quantiles(member.model, member.options, codec, valid), scales, strict=True
            )
        )
        for name, member in members.items()
    }
    actual, observed = [], []
    for series, origins, scale in zip(valid.series, valid.origins, scales, strict=True):
        values, has_value = series.values[:, :targets] / scale[:, 0], forecast_data.target_values(series, targets)
        actual.append(actual_windows(values, origins, options.horizon)[..., None])
        observed.append(actual_windows(has_value, origins, options.horizon)[..., None])
    is_observed = _joined(observed)[..., 0]
    windows = sum(-(-len(origins) // options.horizon) for origins in valid.origins)  # that do not overlap
    return choose_quantiles(predicted, _joined(actual)[..., 0], is_observed, np.array(QUANTILES), windows=windows)


def _joined(arrays: Iterable[Array]) -> Array:
    """Join arrays [N, H, C, Q] of several series, each channel as rows of its own: [N_total, H, Q]."""
    return np.concatenate([array.transpose(0, 2, 1, 3).reshape(-1, array.shape[1], array.shape[3]) for array in arrays])
