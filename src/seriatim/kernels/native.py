"""The native engine on NumPy arrays, with the functions and signatures of its twin ``reference``, and much faster.

If the compiled module is missing (no compiler when the package was installed), the twin runs in its place, and one
warning says so. Arrays that do not fit raise ``UsageError`` before anything is computed. So does a target in
``SERIATIM_TARGET`` that this processor does not have.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import UsageError
from seriatim.kernels import reference
from seriatim.kernels.call_arrays import address, call_shapes, check_call, row_strides, weight_addresses
from seriatim.kernels.cell import Floats, State, part, part_backward
from seriatim.kernels.engine_arrays import (
    addresses,
    arrays_by_name,
    dense_rows,
    dense_state,
    dense_walk,
    dense_weights,
    input_part,
    pair,
    walk_masks,
)
from seriatim.kernels.state_layout import from_engine
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

try:
    from seriatim.kernels import _native
except ImportError as _error:  # not built, or built for another machine
    _native = None  # type: ignore[assignment]
    _missing = str(_error)

KINDS = ("rnn", "lstm", "cifg", "gru", "slstm")
"""The cells of the engine, without clip; a GRU without projection. For diagonal cells the engine has a scan."""
PRECISIONS = ("full", "bf16", "int8")
"""The number formats of a ``CellStepper``'s weights."""


def fuses(spec: CellSpec) -> bool:
    """Whether the engine has this cell."""
    return spec.kind in KINDS and not (spec.clip or (spec.kind == "gru" and spec.proj_size))


def has_reduced_products(spec: CellSpec) -> bool:
    """Whether single steps of this cell can multiply 8- and 16-bit weights."""
    return fuses(spec) and spec.reset_after and not (spec.proj_size or spec.layer_norm)


def available() -> bool:
    """Whether the engine was built."""
    return _native is not None


def ready() -> bool:
    """Whether the engine was built. If it was not, warn once. For callers that are about to use it."""
    if _native is None:
        _warn_once()
    return _native is not None


def engine() -> Any:
    """The compiled module itself. Call ``ready`` first."""
    return _native


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        f"the native engine was not built, so recurrences run on slower paths ({_missing}); install a C++ compiler "
        "and reinstall seriatim",
        stacklevel=4,
    )


def targets() -> list[str]:
    """The instruction sets that this processor can run, fastest first; none without the engine."""
    return [] if _native is None else _native.targets()


def target() -> str:
    """The instruction set in use, or ``reference``. Raises ``UsageError`` for a bad ``SERIATIM_TARGET``."""
    if _native is None:
        return "reference"
    with engine_errors():
        return _native.target()


def has_bf16() -> bool:
    """Whether the target in use multiplies numbers of bfloat16. Raises ``UsageError`` for a bad ``SERIATIM_TARGET``."""
    with engine_errors():
        return _native is not None and _native.has_bf16()


def amx() -> str:
    """``used``, or the reason why AMX is not used."""
    return "not built" if _native is None else _native.amx()


@functools.cache
def cell(spec: CellSpec, input_projected: bool = False, bf16: bool = False) -> _native.Cell:
    """The engine's description of ``spec``. With ``input_projected`` x is the input part of the gates.

    With ``bf16``, for float32 and only if ``has_bf16``, the factors of every product are rounded to bfloat16.
    """
    if spec.clip:
        raise UsageError(f"clip: got {spec.clip:g}, wanted 0 for the engine")
    inputs = len(spec.gates) * spec.hidden_size if input_projected else spec.input_size
    name = spec.kind if spec.reset_after else f"{spec.kind} reset-before"
    with engine_errors():
        return _native.Cell(
            name, inputs, spec.hidden_size, spec.proj_size, spec.activation, spec.bias, spec.peephole, spec.layer_norm,
            input_projected, bf16,
        )  # fmt: skip


@functools.cache
def default_threads() -> int:
    """``OMP_NUM_THREADS``, or the number of processors that this process may use."""
    setting = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if setting.isdigit() and int(setting):
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def engine_errors() -> Iterator[None]:
    """Raise the engine's errors as ``UsageError``. They already name the argument."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


@dataclass(frozen=True)
class EngineSaved:
    """The values that ``backward`` needs, and the gates and states of every step."""

    x: Floats
    """The engine's input: x itself, or the input part of a layer-normalised cell."""
    state: State
    weights: Weights[Floats]
    walk: Walk[NDArray[Any]]
    output: Floats
    slots: Floats
    """[T, B, S, H], the gates and other values of a step that the backward pass needs."""
    carried: Floats | None
    """[T, B, W], the states beside h, one after the other, at the time of the input; 0 beyond a row's length."""
    tape: tuple[Any, ...]
    """The tape of the input part of a layer-normalised cell."""
    gates: Floats
    """[T, B, G, H] in the order of ``spec.gates``, after activation; 0 beyond a row's length."""

    @property
    def cells(self) -> Floats | None:
        """[T, B, H], c of every step; None for a cell with the single state h."""
        return None if self.carried is None else self.carried[:, :, : self.slots.shape[-1]]


def forward(
    spec: CellSpec,
    x: Floats,
    state: State,
    weights: Weights[Floats],
    walk: Walk[NDArray[Any]] = reference.PLAIN,
    *,
    threads: int | None = None,
) -> tuple[Floats, State, EngineSaved | reference.Saved]:
    """Run a layer over whole sequences. Contract: ``reference.forward``."""
    if not fuses(spec) or not ready():
        return reference.forward(spec, x, state, weights, walk)
    threads = threads or default_threads()
    walk = dense_walk(walk)
    inputs, read_weights, tape = input_part(spec, x, weights, walk)
    engine_cell = cell(spec, spec.layer_norm)
    inputs, initial = dense_rows(inputs), dense_state(state)
    steps, rows = inputs.shape[:2] if inputs.ndim == 3 else (0, 0)
    output = np.empty((steps, rows, spec.output_size), inputs.dtype)
    final = [np.empty_like(array) for array in initial]
    # The engine writes nothing where a row has no step, and the caller gets 0 there.
    blank = np.empty if walk.lengths is None else np.zeros
    slots = blank((steps, rows, engine_cell.slots, spec.hidden_size), inputs.dtype)
    cells = blank((steps, rows, initial[1].shape[-1]), inputs.dtype) if len(initial) == 2 else None
    arrays = arrays_by_name(inputs, initial, walk) | pair("h_n", "c_n", final)
    _check(spec, engine_cell, arrays | {"output": output, "slots": slots, "cells": cells})
    with engine_errors():
        packed = _native.Packed(engine_cell, *weight_addresses(spec, read_weights), threads)
        _native.forward(
            packed, steps, rows, [], address(inputs), *row_strides(inputs), *addresses(initial), walk.reverse,
            address(output), *addresses(final), address(slots), address(cells), walk_masks(walk), threads,
        )  # fmt: skip
    saved = EngineSaved(
        inputs, tuple(initial), weights, walk, output, slots, cells, tape, slots[:, :, : len(spec.gates)]
    )
    return output, from_engine(spec, final), saved


def backward(
    spec: CellSpec,
    grad_output: Floats,
    grad_state: State,
    saved: EngineSaved | reference.Saved,
    grad_cells: Floats | None = None,
    *,
    threads: int | None = None,
) -> tuple[Floats, State, Weights[Floats]]:
    """Back-propagate through time. Contract: ``reference.backward``."""
    if isinstance(saved, reference.Saved):
        return reference.backward(spec, grad_output, grad_state, saved, grad_cells)
    weights, walk = saved.weights, saved.walk
    engine_weights = weights.without_input() if spec.layer_norm else weights
    grad_x = np.empty_like(saved.x, order="C")
    grad_first = [np.empty_like(array) for array in saved.state]
    grad_weights = [None if weight is None else np.empty_like(weight, order="C") for weight in engine_weights.fused()]
    if grad_cells is not None and saved.carried is not None:
        beyond = saved.carried.shape[2] - grad_cells.shape[2]
        grad_cells = np.ascontiguousarray(np.pad(grad_cells, ((0, 0), (0, 0), (0, beyond))))
    engine_cell, grad_output, grad_final = cell(spec, spec.layer_norm), dense_rows(grad_output), dense_state(grad_state)
    arrays = arrays_by_name(saved.x, saved.state, walk) | pair("grad_h_n", "grad_c_n", grad_final)
    arrays |= {"output": saved.output, "slots": saved.slots, "cells": saved.carried, "grad_output": grad_output}
    _check(
        spec, engine_cell, arrays | {"grad_cells": grad_cells, "grad_x": grad_x} | pair("grad_h", "grad_c", grad_first)
    )
    dense = dense_weights(engine_weights)
    steps, rows = saved.x.shape[:2]
    with engine_errors():
        _native.backward(
            engine_cell, *weight_addresses(spec, dense), steps, rows, [], address(saved.x),
            *row_strides(saved.x), *addresses(saved.state), walk.reverse, address(saved.output),
            address(saved.slots), address(saved.carried), address(grad_output), *row_strides(grad_output),
            *addresses(grad_final), address(grad_cells), address(grad_x), *addresses(grad_first),
            list(map(address, grad_weights)), walk_masks(walk), threads or default_threads(),
        )  # fmt: skip
    gradient: Weights[Floats] = Weights(*grad_weights)  # type: ignore[arg-type]
    if spec.layer_norm:
        rows = grad_x.reshape(-1, grad_x.shape[-1])
        grad_raw, w_ih, b_ih, g_ih = part_backward(rows, weights.w_ih, weights.b_ih, weights.g_ih, saved.tape)
        grad_x = grad_raw.reshape(*grad_x.shape[:2], grad_raw.shape[-1])
        gradient = replace(gradient, w_ih=w_ih, b_ih=b_ih, g_ih=g_ih)
    return grad_x, from_engine(spec, grad_first), gradient


def step(spec: CellSpec, x: Floats, state: State, weights: Weights[Floats]) -> State:
    """One step. Contract: ``reference.step``. A ``CellStepper`` packs the weights only once for many steps."""
    return CellStepper(spec, weights).step(x, state)


class CellStepper:
    """Single steps of one cell, with weights that are packed once.

    ``precision`` is the number format of the weights: ``full``, or for float32 ``bf16`` or ``int8``, which are faster
    if the weights are too large for the cache. Raises ``UsageError`` for an unknown format, or one that does not fit
    the cell.
    """

    def __init__(self, spec: CellSpec, weights: Weights[Floats], precision: str = "full") -> None:
        if precision not in PRECISIONS:
            raise UsageError(f"precision: got '{precision}', wanted {', '.join(PRECISIONS)}")
        self.spec = spec
        self.weights = weights
        self._native = ready()
        if not self._native:
            return
        engine_weights = weights.without_input() if spec.layer_norm else weights
        self._cell = cell(spec, spec.layer_norm)
        with engine_errors():
            dense = dense_weights(engine_weights)
            self._packed = _native.Packed(self._cell, *weight_addresses(spec, dense), 1, precision)
        self._dtype = weights.w_hh.dtype
        self._inputs = len(spec.gates) * spec.hidden_size if spec.layer_norm else spec.input_size
        self._widths = [spec.output_size, (len(spec.states) - 1) * spec.hidden_size][: min(len(spec.states), 2)]

    def step(self, x: Floats, state: State) -> State:
        """x [B, I] and the state, arrays [B, ·] in the order of ``spec.states`` → the next state, h first."""
        if not self._native:
            return reference.step(self.spec, x, state, self.weights)
        return self.advance(self.input_part(x) if self.spec.layer_norm else x, state)

    def input_part(self, x: Floats) -> Floats:
        """Return the input part [B, G·H] of a layer-normalised cell's gates for x [B, I]."""
        return part(x, self.weights.w_ih, self.weights.b_ih, self.weights.g_ih)[0]

    def advance(self, inputs: Floats, state: State) -> State:
        """As ``step``, on the engine, with x or for a layer-normalised cell its ``input_part``."""
        initial = dense_state(state)
        inputs = np.ascontiguousarray(inputs)
        rows = len(inputs)
        expected = [(rows, self._inputs), *((rows, width) for width in self._widths)]
        if [array.shape for array in (inputs, *initial)] != expected or any(
            array.dtype != self._dtype for array in (inputs, *initial)
        ):
            self._refuse(inputs, initial)
        final = [array.copy() for array in initial]
        try:  # a context manager would cost as much as the step
            _native.Stream(self._packed, rows, *addresses(final)).step(inputs)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return from_engine(self.spec, final)

    def _refuse(self, x: Floats, state: list[Floats]) -> NoReturn:
        """Raise ``UsageError`` that names the array which does not fit."""
        shapes = call_shapes(self.spec, 1, len(x), self._inputs, 0) | {"x": (len(x), self._inputs)}
        check_call(shapes, {"x": x, **pair("h", "c", state)})
        raise UsageError(f"x: got {x.dtype}, wanted {self._dtype}")


def _check(spec: CellSpec, engine_cell: _native.Cell, arrays: dict[str, NDArray[Any] | None]) -> None:
    x = arrays["x"]
    assert x is not None
    steps, rows = x.shape[:2] if x.ndim == 3 else (0, 0)
    inputs = len(spec.gates) * spec.hidden_size if spec.layer_norm else spec.input_size
    states = {"h", "c"} if len(spec.states) > 1 else {"h"}
    if (arrays.keys() & {"h", "c"}) != states:
        raise UsageError(f"state: got {len(arrays.keys() & {'h', 'c'})} arrays, wanted {len(states)}")
    check_call(call_shapes(spec, steps, rows, inputs, engine_cell.slots), arrays, strided=("x", "grad_output"))
