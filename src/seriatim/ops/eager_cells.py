"""Fast path for cells that are called step by step, where the call costs more than the step. float32 and float64.

Falls back to the other rows of ``recurrence`` for other cells or dtypes, autocast and tracing, and for arguments that
must be rejected with an error.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops.arguments import FULL, Plan, State
from seriatim.ops.autograd import run_layer
from seriatim.ops.eager import (
    has_saved_tensors_hooks,
    is_on_cpu,
    is_plain_eager,
    is_standard_cell,
)
from seriatim.ops.engine import refusal
from seriatim.ops.packed_weights import Parameters, pack_and_cache, packable
from seriatim.ops.step_gradients import TrainableWeights, apply_step
from seriatim.spec import CellSpec

_requires_grad = attrgetter("requires_grad")


def fits_step(spec: CellSpec, x: Tensor) -> bool:
    """Whether a cell with this spec takes the eager path for x [B, I]."""
    return is_standard_cell(spec) and is_plain_eager() and x.dtype in FULL and is_on_cpu(x, x.dtype) and native.ready()


def step(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> State:
    """One step alone. Contract: ``ops.recurrence.step``."""
    return run_layer(Plan(spec), x.unsqueeze(0), state, weights, Walk())[1]


class EagerCell:
    """The eager path of one cell, with its weights from the last call. A copy starts without them.

    ``names`` are the names of its parameters.
    """

    def __init__(self, spec: CellSpec, names: tuple[str, ...]) -> None:
        self._spec = spec
        self._plan = Plan(spec)
        self._names = names
        self._input_size = spec.input_size
        self._hidden_size = spec.hidden_size
        self._current: TrainableWeights | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return EagerCell, (self._spec, self._names)

    def step(self, parameters: Parameters, x: Any, state: Any) -> tuple[Tensor, ...] | None:
        """x [B, I] and the state, a tensor, tuple or list, or None for zeros → the next state; also for one row, x [I].

        Tensors may have any strides. Returns None, and does nothing, if the call does not fit this path.
        """
        if not is_plain_eager():
            return None
        current = self._current
        first = state[0] if (type(state) is tuple or type(state) is list) and state else state
        if current is None or not current.fingerprint.is_current(tuple(parameters.values()), first):
            current = self._current = self._trainable_weights(parameters)
            if current is None:
                return None
        dtype = current.dtype
        if not is_on_cpu(x, dtype):
            return None
        shape = x.shape
        axes = len(shape)
        if axes == 2:
            rows = shape[0]
            state_shape: tuple[int, ...] = (rows, self._hidden_size)
        elif axes == 1:
            rows, state_shape = 1, (self._hidden_size,)
        else:
            return None
        if shape[-1] != self._input_size:
            return None
        c = None
        if state is None:
            h = torch.zeros(state_shape, dtype=dtype)
            if current.has_c:
                c = torch.zeros(state_shape, dtype=dtype)
        else:
            if not current.has_c:
                h = state
            elif (type(state) is tuple or type(state) is list) and len(state) == 2:
                h, c = state
                if not (is_on_cpu(c, dtype) and c.shape == state_shape):
                    return None
                if not c.is_contiguous():
                    c = c.contiguous()
            else:
                return None
            if not (is_on_cpu(h, dtype) and h.shape == state_shape):
                return None
            if not h.is_contiguous():
                h = h.contiguous()
        if axes == 1:
            x, h, c = x.unsqueeze(0), h.unsqueeze(0), None if c is None else c.unsqueeze(0)
        final = None
        if torch.is_grad_enabled():
            if has_saved_tensors_hooks():
                return None
            requires_grad = tuple(map(_requires_grad, current.weights))
            if requires_grad != current.requires_grad or (current.token is None and True in requires_grad):
                current = self._current = TrainableWeights(self._names, current.weights, current.packed)
            token = current.token
            if token is not None or x.requires_grad or h.requires_grad or (c is not None and c.requires_grad):
                if not x.is_contiguous() and x.stride(1) != 1:
                    x = x.contiguous()
                try:
                    final = apply_step(current, token, x, h, c)
                except ValueError as error:
                    raise refusal(error, {"x": x, "h": h, "c": c}) from error
                final = final if c is not None else (final,)
        if final is None:
            try:
                final = _infer_step(current, rows, x if x.is_contiguous() else x.contiguous(), h, c)
            except ValueError as error:
                raise refusal(error, {"x": x, "h": h, "c": c}) from error
        if axes == 1:
            final = tuple([part.squeeze(0) for part in final])
        current.fingerprint.remember_state(final[0])
        return final

    def _trainable_weights(self, parameters: Parameters) -> TrainableWeights | None:
        weights = packable(parameters, self._names)
        if weights is None:
            return None
        return TrainableWeights(self._names, weights, pack_and_cache(self._plan, weights))


def _infer_step(current: TrainableWeights, rows: int, x: Tensor, h: Tensor, c: Tensor | None) -> tuple[Tensor, ...]:
    h_n = torch.empty_like(h)
    if c is None:
        native.engine().step(
            current.packed_forward, rows, x.data_ptr(), h.data_ptr(), 0, h_n.data_ptr(), 0, torch.get_num_threads()
        )
        return (h_n,)
    c_n = torch.empty_like(c)
    native.engine().step(
        current.packed_forward, rows, x.data_ptr(), h.data_ptr(), c.data_ptr(), h_n.data_ptr(), c_n.data_ptr(),
        torch.get_num_threads(),
    )  # fmt: skip
    return h_n, c_n
