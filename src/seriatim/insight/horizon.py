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
    """A curve over K lags: median and band (the central 80 %) over the rows of a batch, each [K]."""

    lags: Tensor
    median: Tensor
    low: Tensor
    high: Tensor

    def horizon(self, share: float = SHARE) -> Horizon:
        """The horizon of the median."""
        return horizon(self.median, share, self.lags)


def horizon(curve: Tensor, share: float = SHARE, lags: Tensor | None = None) -> Horizon:
    """Return the last lag at which ``curve`` [K], of values that are not negative, is at ``share`` of its maximum.

    ``lags`` [K] rise; None is 0, 1, 2, … Between two lags the curve is interpolated geometrically. A curve of zeros has
    the horizon 0.

    >>> horizon(0.5 ** torch.arange(20.0))
    Horizon(lag=6.64..., is_censored=False)
    """
    values = curve.double()
    places = torch.arange(len(values)) if lags is None else lags
    largest = float(values.max()) if len(values) else 0.0
    if not largest > 0 or not math.isfinite(largest):
        return Horizon(float(places[-1]) if largest > 0 else 0.0, largest > 0)
    threshold = share * largest
    last = int(torch.nonzero(values >= threshold)[-1])
    if last == len(values) - 1:
        return Horizon(float(places[last]), True)
    above, below = float(values[last]), max(float(values[last + 1]), 1e-300)
    share_of_gap = math.log(above / threshold) / math.log(above / below)
    return Horizon(float(places[last]) + share_of_gap * float(places[last + 1] - places[last]), False)


def curve_of(values: Tensor, lags: Tensor | None = None) -> LagCurve:
    """Summarise values [K, B] over rows; NaN (a row was shorter) is left out."""
    levels = torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64)
    masked = values.double()
    median, low, high = torch.nanquantile(masked, levels, dim=1)
    return LagCurve(torch.arange(len(values)) if lags is None else lags, median, low, high)
