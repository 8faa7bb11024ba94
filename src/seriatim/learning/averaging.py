"""The average of the weights over the last updates (Polyak & Juditsky 1992), as an exponential moving average.

    a ← a + (1 - d) (w - a)          d = min(decay, (1 + n) / (10 + n)) after n updates

The second term of d lets the average forget the first weights, which are random. It is often as good as weights whose
rate has fallen to zero (Izmailov 2018 for uniform averages). Only parameters are averaged; buffers are the model's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


@final
class WeightAverage:
    """The moving average of the trained weights of ``model``, by their names."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._parameters = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._decay = decay
        self.weights: State = {name: weight.detach().clone() for name, weight in self._parameters.items()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Add the weights after ``updates`` updates to the average."""
        decay = min(self._decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(self.weights.values()), list(self._parameters.values()), 1 - decay)

    def load(self, weights: State) -> None:
        """Continue from a stored average. Raises ``ValueError`` if it is of another model."""
        shapes = {name: weight.shape for name, weight in self.weights.items()}
        if {name: weight.shape for name, weight in weights.items()} != shapes:
            raise ValueError("the averaged weights are of another model")
        self.weights = {name: weights[name] for name in self.weights}  # in the order of the parameters

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Give the model the averaged weights during a ``with`` block."""
        own = {name: weight.detach().clone() for name, weight in self._parameters.items()}
        self._copy(self.weights)
        try:
            yield
        finally:
            self._copy(own)

    @torch.no_grad()
    def _copy(self, weights: State) -> None:
        for name, weight in self._parameters.items():
            weight.copy_(weights[name])
