"""Single steps of one row through a stack of layers, without the work that a call of a layer does for its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seriatim.kernels import native
from seriatim.kernels.state_layout import to_engine
from seriatim.kernels.weights import Weights
from seriatim.ops.arguments import FULL, Plan, State, present_weights, weight_list
from seriatim.ops.eager import is_dense_cpu, is_plain_eager
from seriatim.ops.engine import address
from seriatim.ops.native import input_part
from seriatim.ops.packed_weights import packed_weights
from seriatim.spec import CellSpec

Floats: TypeAlias = NDArray[np.floating[Any]]


def fits(specs: Sequence[CellSpec], weights: Sequence[Weights[Tensor]]) -> bool:
    """Whether a ``RowStream`` can run these layers, whose weights have one dtype."""
    tensors = [weight for layer in weights for weight in weight_list(layer) if weight is not None]
    dtype = tensors[0].dtype
    return (
        dtype in FULL
        and all(map(native.fuses, specs))
        and all(is_dense_cpu(weight, dtype) for weight in tensors)
        and is_plain_eager()
        and native.ready()
    )


class RowStream:
    """A stack of layers that reads one row step by step. The engine updates the states in place.

    Every layer has a spec that the engine runs (``native.fuses``), weights, and a state: tensors [1, ·] in the order of
    ``spec.states``, which are copied. The results are those of calls of the layers, bit for bit. The weights must not
    change while the stream is in use.
    """

    def __init__(self, specs: Sequence[CellSpec], weights: Sequence[Weights[Tensor]], states: Sequence[State]) -> None:
        self._layers = [_LayerStream(*layer) for layer in zip(specs, weights, states, strict=True)]
        self._step = self._layers[0].step
        self._upper = list(zip(self._layers, self._layers[1:], strict=False))
        self.output = self._layers[-1].output
        """Output [1, 1, ·] of the last step. The next step overwrites it."""

    def read(self, x: Tensor) -> Floats:
        """Return x [1, 1, I] in the form that ``step`` takes. Equal x have equal forms, which may be kept."""
        return self._layers[0].read(x)

    def step(self, x: Floats) -> None:
        """Take a step with an input that ``read`` returned."""
        self._step(x)
        for lower, layer in self._upper:
            layer.step(layer.read(lower.output))


class _LayerStream:
    """One layer of a ``RowStream``."""

    def __init__(self, spec: CellSpec, weights: Weights[Tensor], state: State) -> None:
        self._is_normalised = spec.layer_norm
        self._weights = weights.like(weight.detach() for weight in weights.present())
        if spec.layer_norm:
            weights = weights.without_input()
        packed = packed_weights(Plan(spec, spec.layer_norm), present_weights(weights))
        self._state = [part.detach().clone(memory_format=torch.contiguous_format) for part in to_engine(torch, state)]
        h, c = self._state if len(self._state) == 2 else (self._state[0], None)
        self.output = h[None]
        self.step = native.engine().Stream(packed.packed, 1, h.data_ptr(), address(c)).step

    def read(self, x: Tensor) -> Floats:
        """x [1, 1, I] → x [1, I], or the normalised input part of the gates [1, G·H]."""
        part = input_part(x, self._weights) if self._is_normalised else x
        values: Floats = part[0].numpy()
        return values
