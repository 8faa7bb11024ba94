"""The fitted autoregressive model from which a forecaster starts: the head adds to its forecast.

ES-RNN (Smyl 2020) and LSTNet (Lai 2018) give a network a linear model to build on: it need only learn the rest.
"""

from __future__ import annotations

from typing import Any, final

import torch
from numpy.typing import NDArray
from torch import nn

from seriatim.models.naive.autoregressive import Autoregressive


@final
class AutoregressiveStart(nn.Module):
    """The estimates of AR(τ) for each series and target as buffers, so that they are saved with the network.

    ``lookback`` bounds τ, so that the network's window is all that a forecast needs. ``is_used`` is False until
    ``use`` is called, and stays so if another start validates better.
    """

    is_used: torch.Tensor

    def __init__(self, series: int, targets: int, *, lookback: int, season: int, lags: int | None) -> None:
        super().__init__()
        self._season, self._lookback, self._lags = season, lookback, lags
        sizes = (series, targets, self.new().max_lags + 1)
        for name, axes in Autoregressive.arrays.items():
            shape = sizes[: axes + 1]
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("is_used", torch.zeros((), dtype=torch.bool))

    def new(self) -> Autoregressive:
        """Return a model of the same lags that is not fitted yet."""
        return Autoregressive.within(self._lookback, season=self._season, lags=self._lags)

    def use(self, fitted: Autoregressive) -> None:
        """Start from ``fitted`` from now on."""
        for name, values in fitted.state_dict().items():
            self.get_buffer(name).copy_(torch.from_numpy(values))
        self.is_used.fill_(True)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the estimates, as ``Autoregressive.state_dict`` does."""
        return {name: self.get_buffer(name).numpy().copy() for name in Autoregressive.arrays}

    def fitted(self) -> Autoregressive | None:
        """Return the model in use, or None."""
        if not self.is_used:
            return None
        model = self.new()
        model.load_state_dict(self.arrays())
        return model
