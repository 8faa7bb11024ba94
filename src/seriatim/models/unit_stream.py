"""A language model that reads and predicts one unit after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import torch
from torch import Tensor

from seriatim.nn.row_stream import Floats, RowStream

KEPT: Final = 1 << 24
"""Bytes of inputs that are kept."""


@final
class UnitStream:
    """A recurrent language model in one text: embedding, ``layers``, and an affine map to logits.

    The first layer's input depends on the unit alone: with layer normalisation it is the whole input part of the gates.
    So it is computed once for each unit.
    """

    def __init__(
        self, embed: Callable[[Tensor], Tensor], layers: RowStream, weight: Tensor, bias: Tensor | None
    ) -> None:
        self._embed, self._layers = embed, layers
        self._weight = weight.detach()
        self._bias = weight.new_zeros(len(weight)) if bias is None else bias.detach()
        self._states = layers.output[0, 0]
        self._inputs: dict[int, Floats] = {}
        self._logits = self._bias.clone()
        self._values: Floats = self._logits.numpy()

    def step(self, unit: int) -> Floats:
        """Read ``unit`` and return the logits [V] of the next one. The next step overwrites them."""
        x = self._inputs.get(unit)
        self._layers.step(self._read(unit) if x is None else x)
        torch.addmv(self._bias, self._weight, self._states, out=self._logits)
        return self._values

    @torch.no_grad()
    def _read(self, unit: int) -> Floats:
        x = self._layers.read(self._embed(torch.tensor([[unit]])))
        if (len(self._inputs) + 1) * x.nbytes <= KEPT:
            self._inputs[unit] = x
        return x
