"""Fast path for a whole stack of layers, when the call overhead matters. For bfloat16 it supports inference only.

Falls back to the other rows of ``recurrence`` for masks, padded lengths, other cells or dtypes, autocast and tracing,
and for arguments that must be rejected with an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

from seriatim.kernels import native
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops.arguments import FULL, Plan, State
from seriatim.ops.autograd import apply_layer, run_layer
from seriatim.ops.eager import (
    has_saved_tensors_hooks,
    is_on_cpu,
    is_plain_eager,
    is_standard_cell,
)
from seriatim.ops.engine import refusal, strides
from seriatim.ops.packed_weights import Fingerprint, PackedWeights, Parameters, pack_and_cache, packable
from seriatim.ops.variable_length import has_no_masks
from seriatim.spec import CellSpec

CHUNK = 1 << 20
"""Bytes of float32 output that a bfloat16 inference computes at a time, so that they stay in the second cache."""

_is_leaf = attrgetter("is_leaf")


def fits(spec: CellSpec, x: Tensor, walk: Walk[Tensor]) -> bool:
    """Whether a layer with this cell takes the eager path for x, along a walk without lengths, masks or reversal."""
    return (
        is_standard_cell(spec)
        and walk.lengths is None
        and not walk.reverse
        and has_no_masks(walk)
        and is_plain_eager()
        and x.dtype in FULL
        and is_on_cpu(x, x.dtype)
        and native.ready()
    )


def run(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]) -> tuple[Tensor, State]:
    """One layer alone. Contract: ``ops.recurrence.recurrence``."""
    output, final, _, _ = run_layer(Plan(spec), x, state, weights, walk)
    return output, final


class _Layer(NamedTuple):
    """One layer and direction of a stack, at its current weights."""

    packed: PackedWeights
    fingerprint: Fingerprint
    weights: tuple[Tensor, ...]


class EagerStack:
    """The eager path of one stack, with its weights from the last call. A copy starts without them.

    ``specs`` has one spec for each layer; ``names`` has the parameters' names for each layer and direction.
    """

    def __init__(self, specs: Sequence[CellSpec], names: Sequence[tuple[str, ...]]) -> None:
        self._specs = tuple(specs)
        self._names = tuple(names)
        self._plans = tuple(map(Plan, specs))
        self._input_size, self._hidden_size = specs[0].input_size, specs[0].hidden_size
        self._directions = len(self._names) // len(self._specs)
        self._has_c = len(self._specs[0].states) == 2
        self._current: tuple[tuple[int, ...], list[_Layer]] | None = None
        """Identities of all parameters, and the layers. One value, because threads may share this object."""
        self._zeros: Tensor | None = None
        """The zero state of the last call without a state. It is never returned."""

    def __reduce__(self) -> tuple[Any, ...]:
        return EagerStack, (self._specs, self._names)

    def run(
        self, parameters: Parameters, x: Any, state: Any, batch_first: bool, p: float = 0.0
    ) -> tuple[Tensor | PackedSequence, State] | None:
        """Run x [T, B, I], or [B, T, I] with ``batch_first``, or [T, I], or packed, from ``state``.

        ``state`` is a tensor [L·D, B, H], a tuple of them, or None for zeros. ``p`` is the probability of dropout
        between layers, with PyTorch's masks. Returns output [T, B, D·H] and final states, with the axes of x. Returns
        None, and does nothing, if the call does not fit this path.
        """
        if not is_plain_eager():
            return None
        if type(x) is PackedSequence:
            return self._run_packed(parameters, x, state, p)
        layers = self._current_layers(parameters, _continued_state(x, state, batch_first))
        if layers is None or not is_on_cpu(x, layers[0].weights[0].dtype):
            return None
        shape = x.shape
        if len(shape) == 3:
            rows, steps = shape[:2] if batch_first else (shape[1], shape[0])
            is_single_row = False
        elif len(shape) == 2:
            rows, steps = 1, shape[0]
            is_single_row, batch_first = True, False
        else:
            return None
        if shape[-1] != self._input_size or not steps:
            return None
        if x.stride()[-1] != 1:
            x = x.contiguous()
        first = self._initial_states(layers, rows, state, is_single_row)
        if first is None:
            return None
        if batch_first:
            x = x.transpose(0, 1)
        elif is_single_row:
            x = x.unsqueeze(1)
        result = self._run_or_train(layers, x, (), first, p)
        if result is None:
            return None
        output, final = result
        if batch_first:
            output = output.transpose(0, 1)
        elif is_single_row:
            output, final = output.squeeze(1), tuple([part.squeeze(1) for part in final])
        for layer in layers:
            layer.fingerprint.remember_state(final[0])
        return output, final

    def _run_packed(
        self, parameters: Parameters, sequence: PackedSequence, state: Any, p: float
    ) -> tuple[PackedSequence, State] | None:
        """Run packed rows [N, I] without padding them."""
        x, batch_sizes, order, inverse = sequence
        layers = self._current_layers(parameters, None)
        if layers is None or not is_on_cpu(x, layers[0].weights[0].dtype):
            return None
        if x.dim() != 2 or x.shape[1] != self._input_size:
            return None
        if x.stride(1) != 1:
            x = x.contiguous()
        sizes = batch_sizes.tolist()
        if sum(sizes) != len(x) or not len(x) or sizes != sorted(sizes, reverse=True):
            return None
        first = self._initial_states(layers, sizes[0], state, False)
        if first is None:
            return None
        if order is not None and state is not None:
            first = tuple([part.index_select(1, order) for part in first])
        result = self._run_or_train(layers, x, sizes, first, p)
        if result is None:
            return None
        output, final = result
        if inverse is not None:
            final = tuple([part.index_select(1, inverse) for part in final])
        return PackedSequence(output, batch_sizes, order, inverse), final

    def _current_layers(self, parameters: Parameters, h: Tensor | None) -> list[_Layer] | None:
        """The layers at the current parameters, or None if these cannot be kept. ``h`` is as for ``Fingerprint``."""
        identities = tuple(map(id, parameters.values()))
        current = self._current
        if (
            current is not None
            and identities == current[0]
            and all([fingerprint.is_current(weights, h) for _, fingerprint, weights in current[1]])
        ):
            return current[1]
        self._current = None
        layers: list[_Layer] = []
        for index, names in enumerate(self._names):
            weights = packable(parameters, names, (*FULL, torch.bfloat16))
            if weights is None or not all(map(_is_leaf, weights)):
                return None
            dtype = weights[0].dtype
            if layers and dtype is not layers[0].weights[0].dtype:
                return None
            plan = self._plans[index // self._directions]
            if dtype is torch.bfloat16:
                plan = replace(plan, bf16=True)
            packed = pack_and_cache(plan, weights)
            assert packed.fingerprint is not None
            layers.append(_Layer(packed, packed.fingerprint, weights))
        self._current = identities, layers
        return layers

    def _initial_states(self, layers: list[_Layer], rows: int, state: Any, is_single_row: bool) -> State | None:
        """The initial states [L·D, B, H]: zeros, or the states of the call. None if these do not fit."""
        shape = len(layers), rows, self._hidden_size
        if state is None:
            zeros = self._zeros
            if zeros is None or zeros.shape != shape or zeros.dtype is not layers[0].packed.dtype:
                with torch.inference_mode(False):
                    zeros = self._zeros = torch.zeros(shape, dtype=layers[0].packed.dtype)
            return (zeros, zeros) if self._has_c else (zeros,)
        states = state if self._has_c else (state,)
        if type(states) is list:
            states = tuple(states)
        if type(states) is not tuple or len(states) != 1 + self._has_c:
            return None
        dtype = layers[0].weights[0].dtype
        for part in states:
            if not is_on_cpu(part, dtype) or part.shape != (shape[::2] if is_single_row else shape):
                return None
        if is_single_row:
            return tuple([part.contiguous().unsqueeze(1) for part in states])
        return tuple([part.contiguous() for part in states])

    def _run_or_train(
        self, layers: list[_Layer], x: Tensor, sizes: Sequence[int], first: State, p: float
    ) -> tuple[Tensor, State] | None:
        """Run x [T, B, I], or packed rows [N, I] with their ``sizes``."""
        if not (torch.is_grad_enabled() and _needs_gradient(layers, x, first)):
            return self._infer(layers, x, sizes, first, p)
        if has_saved_tensors_hooks() or layers[0].weights[0].dtype not in FULL:
            return None
        return self._train(layers, x, sizes, first, p)

    def _train(
        self, layers: list[_Layer], x: Tensor, sizes: Sequence[int], first: State, p: float
    ) -> tuple[Tensor, State]:
        h, c = first if self._has_c else (first[0], None)
        if len(layers) == 1:
            packed, _, weights = layers[0]
            output, *final = apply_layer(packed, False, sizes, False, x, h, c, *weights)
            return output, tuple(final)
        finals = []
        for index, (packed, _, weights) in enumerate(layers):
            direction = index % self._directions
            if not direction:
                outputs = []
            layer_h = h.narrow(0, index, 1)
            layer_c = None if c is None else c.narrow(0, index, 1)
            output, *final = apply_layer(packed, direction == 1, sizes, False, x, layer_h, layer_c, *weights)
            outputs.append(output)
            finals.append(final)
            if direction == self._directions - 1:
                x = output if direction == 0 else torch.cat(outputs, dim=-1)
                x = dropout(x, p) if p and index + 1 < len(layers) else x
        return x, tuple([torch.cat(parts) for parts in zip(*finals, strict=True)])

    def _infer(
        self, layers: list[_Layer], x: Tensor, sizes: Sequence[int], first: State, p: float
    ) -> tuple[Tensor, State] | None:
        dtype, full = layers[0].weights[0].dtype, layers[0].packed.dtype
        is_reduced = dtype is not full
        if is_reduced:
            if x.dim() == 3 and 4 * len(x) * first[0][0].numel() > CHUNK:
                return None  # faster in chunks
            first = tuple([part.to(full) for part in first])
        forward, threads = native.engine().forward, torch.get_num_threads()
        final = tuple([torch.empty_like(part) for part in first])
        steps, rows = len(sizes) or len(x), first[0].shape[1]
        shape = *x.shape[:-1], self._hidden_size
        h_stride = rows * self._hidden_size * full.itemsize  # bytes
        h, h_n = first[0].data_ptr(), final[0].data_ptr()
        c, c_n, c_stride = (first[1].data_ptr(), final[1].data_ptr(), h_stride) if self._has_c else (0, 0, 0)
        for index, (packed, _, _) in enumerate(layers):
            direction = index % self._directions
            if not direction:
                outputs = []
                x = x.to(full) if is_reduced else x
                by_step, by_row = strides(x)
            output = torch.empty(*shape, dtype=full)
            try:
                forward(
                    packed.packed, steps, rows, sizes, x.data_ptr(), by_step, by_row, h, c, direction == 1,
                    output.data_ptr(), h_n, c_n, 0, 0, None, threads,
                )  # fmt: skip
            except ValueError as error:
                raise refusal(error, {"x": x, "h": first[0], "c": first[-1]}) from error
            h, h_n, c, c_n = h + h_stride, h_n + h_stride, c + c_stride, c_n + c_stride
            outputs.append(output)
            if direction == self._directions - 1:
                x = output if direction == 0 else torch.cat(outputs, dim=-1)
                x = x.to(dtype) if is_reduced else x
                x = dropout(x, p) if p and index + 1 < len(layers) else x
        return x, tuple([part.to(dtype) for part in final]) if is_reduced else final


def _needs_gradient(layers: list[_Layer], x: Tensor, first: State) -> bool:
    if x.requires_grad or layers[0].weights[0].requires_grad:  # the usual case
        return True
    weights = [weight for layer in layers for weight in layer.weights]
    return any([tensor.requires_grad for tensor in (*weights, *first)])


def _continued_state(x: Any, state: Any, batch_first: bool) -> Any:
    """h if this is a single step that starts from a state, as in the call of a cell."""
    if state is None or type(x) is not Tensor or not 2 <= x.dim() <= 3:
        return None
    if x.shape[1 if batch_first and x.dim() == 3 else 0] != 1:
        return None
    return state[0] if type(state) is tuple and state else state
