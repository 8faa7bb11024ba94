"""A horizon: the lag at which a curve over lags has fallen to a small share of its largest value.

For a unit with a constant forget gate f the derivative ∂c_t/∂c_{t-k} is f^k, so its horizon of 1 % is ln 0.01 / ln f.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SHARE = 0.01
"""The usual share: what has fallen below 1 % of the largest value counts as forgotten."""


@dataclass(frozen=True)
class Horizon:
    """A lag in steps, interpolated between whole steps."""

    lag: float
    is_censored: bool
    """The curve did not fall to the share within the lags that were measured: the true lag is at least ``lag``."""

    def __str__(self) -> str:
        return f"{'at least ' if self.is_censored else ''}{self.lag:.3g}"


@dataclass(frozen=True)
class LagCurve:
    """A curve over lags 0 … K: median and band (the central 80 %) over the rows of a batch, each [K + 1]."""

    median: Tensor
    low: Tensor
    high: Tensor

    def horizon(self, share: float = SHARE) -> Horizon:
        """The horizon of the median."""
        return horizon(self.median, share)


def horizon(curve: Tensor, share: float = SHARE) -> Horizon:
    """Return the last lag at which ``curve`` [K + 1] (lags 0 … K, not negative) is at ``share`` of its maximum.

    Between two lags the curve is interpolated geometrically. A curve of zeros has the horizon 0.

    >>> horizon(0.5 ** torch.arange(20.0))
    Horizon(lag=6.64..., is_censored=False)
    """
    values = curve.double()
    largest = float(values.max()) if len(values) else 0.0
    if not largest > 0 or not math.isfinite(largest):
        return Horizon(float(len(values) - 1) if largest > 0 else 0.0, largest > 0)
    threshold = share * largest
    last = int(torch.nonzero(values >= threshold)[-1])
    if last == len(values) - 1:
        return Horizon(float(last), True)
    above, below = float(values[last]), max(float(values[last + 1]), 1e-300)
    return Horizon(last + math.log(above / threshold) / math.log(above / below), False)


def curve_of(values: Tensor) -> LagCurve:
    """Summarise values [K + 1, B] over rows; values that are not finite (a row was shorter) are left out."""
    levels = torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64)
    masked = torch.where(values.isfinite(), values.double(), torch.nan)
    median, low, high = torch.nanquantile(masked, levels, dim=1)
    return LagCurve(median, low, high)
