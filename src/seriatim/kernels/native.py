"""The native engine on NumPy arrays: the names and signatures of its twin ``reference``, and far more speed.

The compiled module may be missing (no compiler when the package was installed) and then the twin does the work, which
is said once, in a warning. Arrays that do not fit raise ``UsageError``, before anything is computed; so does a target
forced by ``SERIATIM_TARGET`` that this processor does not have.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import UsageError
from seriatim.kernels import reference
from seriatim.kernels.cell import Floats, State, part, part_backward
from seriatim.kernels.state_layout import from_engine, to_engine, zoneout_to_engine
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

try:
    from seriatim.kernels import _native
except ImportError as _error:  # not built, or built for another machine
    _native = None  # type: ignore[assignment]
    _missing = str(_error)

KINDS = ("rnn", "lstm", "cifg", "gru", "slstm")
"""The cells that the engine fuses, without clip and a GRU without projection; of a diagonal one it runs the scan."""
PRECISIONS = ("full", "bf16", "int8")
"""How a ``Stepper`` may hold its weights."""


def fuses(spec: CellSpec) -> bool:
    """Whether the engine has this cell."""
    return spec.kind in KINDS and not (spec.clip or (spec.kind == "gru" and spec.proj_size))


def available() -> bool:
    """Whether the engine is there."""
    return _native is not None


def ready() -> bool:
    """Whether the engine is there, for somebody who is about to use it: if it is not, a warning says so once."""
    if _native is None:
        _warn_once()
    return _native is not None


def engine() -> Any:
    """The compiled module itself, for those who hand it tensors. Call ``ready`` first."""
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
    """The one in use, or ``reference`` without the engine. Raises ``UsageError`` for a bad ``SERIATIM_TARGET``."""
    if _native is None:
        return "reference"
    with told():
        return _native.target()


def has_bf16() -> bool:
    """Whether the target in use multiplies numbers of bfloat16. Raises ``UsageError`` for a bad ``SERIATIM_TARGET``."""
    with told():
        return _native is not None and _native.has_bf16()


def amx() -> str:
    """``used``, or why AMX is not."""
    return "not built" if _native is None else _native.amx()


@functools.cache
def cell(spec: CellSpec, given: bool = False, bf16: bool = False) -> _native.Cell:
    """The engine's description of ``spec``; ``given`` when it gets the input part of the gates in place of x.

    With ``bf16``, which is for float32 where ``has_bf16``, the factors of every product are rounded to bfloat16.
    """
    if spec.clip:
        raise UsageError(f"clip: got {spec.clip:g}, wanted 0 for the engine")
    inputs = len(spec.gates) * spec.hidden_size if given else spec.input_size
    name = spec.kind if spec.reset_after else f"{spec.kind} reset-before"
    with told():
        return _native.Cell(
            name, inputs, spec.hidden_size, spec.proj_size, spec.activation, spec.bias, spec.peephole, spec.layer_norm,
            given, bf16,
        )  # fmt: skip


@functools.cache
def default_threads() -> int:
    """``OMP_NUM_THREADS``, or as many as there are processors that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if asked.isdigit() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def told() -> Iterator[None]:
    """The engine's refusals as ``UsageError``; they name the argument already."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


@dataclass(frozen=True)
class Saved:
    """What ``forward`` keeps for ``backward``, and what happened at every step."""

    x: Floats
    """What the engine read: x itself, or the input part of a layer-normalised cell."""
    state: State
    weights: Weights[Floats]
    walk: Walk[NDArray[Any]]
    output: Floats
    slots: Floats
    """[T, B, S, H], the gates and what else of a step the way back needs."""
    carried: Floats | None
    """[T, B, W], the states beside h where the input stood, one behind the other; 0 beyond a row's length."""
    tape: tuple[Any, ...]
    """Of the input part of a layer-normalised cell."""
    gates: Floats
    """[T, B, G, H] in the order of ``spec.gates``, after activation; 0 beyond a row's length."""

    @property
    def cells(self) -> Floats | None:
        """[T, B, H], c of every step; None for a cell that carries h alone."""
        return None if self.carried is None else self.carried[:, :, : self.slots.shape[-1]]


def forward(
    spec: CellSpec,
    x: Floats,
    state: State,
    weights: Weights[Floats],
    walk: Walk[NDArray[Any]] = reference.PLAIN,
    *,
    threads: int | None = None,
) -> tuple[Floats, State, Saved | reference.Saved]:
    """Run a layer over whole sequences. Contract: ``reference.forward``."""
    if not fuses(spec) or not ready():
        return reference.forward(spec, x, state, weights, walk)
    threads = threads or default_threads()
    walk = _dense_walk(walk)
    read, read_weights, tape = _input_part(spec, x, weights, walk)
    kind = cell(spec, spec.layer_norm)
    read, before = _dense_rows(read), _to_engine(state)
    steps, rows = read.shape[:2]
    output = np.empty((steps, rows, spec.output_size), read.dtype)
    final = [np.empty_like(one) for one in before]
    # Where a row has no step the engine touches nothing, and what is there is to be 0.
    blank = np.empty if walk.lengths is None else np.zeros
    slots = blank((steps, rows, kind.slots, spec.hidden_size), read.dtype)
    cells = blank((steps, rows, before[1].shape[1]), read.dtype) if len(before) == 2 else None
    with told():
        packed = _native.Packed(kind, read_weights, threads)
        _native.forward(
            kind, packed, read, before, walk.lengths, walk.reverse, walk.reset, walk.dropout, list(walk.zoneout),
            output, final, slots, cells, threads,
        )  # fmt: skip
    saved = Saved(read, tuple(before), weights, walk, output, slots, cells, tape, slots[:, :, : len(spec.gates)])
    return output, from_engine(spec, final), saved


def backward(
    spec: CellSpec,
    grad_output: Floats,
    grad_state: State,
    saved: Saved | reference.Saved,
    grad_cells: Floats | None = None,
    *,
    threads: int | None = None,
) -> tuple[Floats, State, Weights[Floats]]:
    """Back-propagate through time. Contract: ``reference.backward``."""
    if isinstance(saved, reference.Saved):
        return reference.backward(spec, grad_output, grad_state, saved, grad_cells)
    weights, walk = saved.weights, saved.walk
    given = _given(weights) if spec.layer_norm else weights
    grad_x = np.empty_like(saved.x, order="C")
    grad_first = [np.empty_like(one) for one in saved.state]
    grad_weights = [None if one is None else np.empty_like(one, order="C") for one in given.fused()]
    if grad_cells is not None and saved.carried is not None:
        beyond = saved.carried.shape[2] - grad_cells.shape[2]
        grad_cells = np.ascontiguousarray(np.pad(grad_cells, ((0, 0), (0, 0), (0, beyond))))
    with told():
        _native.backward(
            cell(spec, spec.layer_norm), _dense_weights(given), saved.x, list(saved.state), walk.lengths, walk.reverse,
            walk.reset, walk.dropout, list(walk.zoneout), saved.output, saved.slots, saved.carried,
            _dense_rows(grad_output), _to_engine(grad_state), grad_cells, grad_x, grad_first, grad_weights,
            threads or default_threads(),
        )  # fmt: skip
    gradient: Weights[Floats] = Weights(*grad_weights)  # type: ignore[arg-type]
    if spec.layer_norm:
        rows = grad_x.reshape(-1, grad_x.shape[-1])
        before, w_ih, b_ih, g_ih = part_backward(rows, weights.w_ih, weights.b_ih, weights.g_ih, saved.tape)
        grad_x = before.reshape(*grad_x.shape[:2], before.shape[-1])
        gradient = replace(gradient, w_ih=w_ih, b_ih=b_ih, g_ih=g_ih)
    return grad_x, from_engine(spec, grad_first), gradient


def step(spec: CellSpec, x: Floats, state: State, weights: Weights[Floats]) -> State:
    """One step. Contract: ``reference.step``; a ``Stepper`` takes many and packs the weights once."""
    return Stepper(spec, weights).step(x, state)


class Stepper:
    """One step at a time of one cell, with its weights packed once: for streams.

    ``precision`` is how the weights are held: ``full``, or for float32 ``bf16`` or ``int8``, which are faster where the
    weights are too large for the cache. Raises ``UsageError`` for another, or where a precision does not fit the cell.
    """

    def __init__(self, spec: CellSpec, weights: Weights[Floats], precision: str = "full") -> None:
        if precision not in PRECISIONS:
            raise UsageError(f"precision: got '{precision}', wanted {', '.join(PRECISIONS)}")
        self.spec = spec
        self.weights = weights
        self._native = ready()
        if not self._native:
            return
        given = _given(weights) if spec.layer_norm else weights
        self._cell = cell(spec, spec.layer_norm)
        with told():
            self._packed = _native.Packed(self._cell, _dense_weights(given), 1, precision)

    def step(self, x: Floats, state: State) -> State:
        """x [B, I] and the state, arrays [B, ·] in the order of ``spec.states`` → the next state. Its first is h."""
        if not self._native:
            return reference.step(self.spec, x, state, self.weights)
        if self.spec.layer_norm:
            x, _ = part(x, self.weights.w_ih, self.weights.b_ih, self.weights.g_ih)
        before = state if len(state) < 3 else _to_engine(state)
        final = [np.empty_like(one) for one in before]
        try:  # not told(), which would cost as much as the step
            _native.step(self._cell, self._packed, x, before, final)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return from_engine(self.spec, final)


class Stream:
    """A cell that steps on in place: ``rows`` streams side by side, with a state of their own that starts at zero.

        stream = Stream(spec, weights)
        h = stream.step(x)          x [rows, I] → h [rows, P or H], which the next step overwrites

    ``state`` are the arrays [rows, ·] in the order of ``spec.states``, the first of which is h; they may be read and
    written in place between steps. ``precision`` is as for ``Stepper``, and so are the errors. How far h was off at
    most in 200 steps, with weights drawn as PyTorch draws them, x of unit variance and H from 64 to 512: LSTM 2.2e-3
    (bf16) and 1.0e-2 (int8), GRU 2.9e-3 and 1.7e-2, RNN, which has no gates to damp it, 4.8e-3 and 2.4e-2.
    """

    def __init__(self, spec: CellSpec, weights: Weights[Floats], rows: int = 1, precision: str = "full") -> None:
        if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
            raise UsageError(f"rows: got {rows!r}, wanted a whole number of at least 1")
        self._stepper = Stepper(spec, weights, precision)
        self._dtype = weights.w_ih.dtype
        self._shape = (rows, spec.input_size)
        carried = _to_engine([np.zeros((rows, spec.state_size(one)), self._dtype) for one in spec.states])
        self.state: State = from_engine(spec, carried)
        self._h = self.state[0]
        self._advance = self._by_stepper
        if self._stepper._native:
            with told():
                self._engine = _native.Stream(self._stepper._packed, carried)
            self._advance = self._normalized if spec.layer_norm else self._engine.step

    def step(self, x: Floats) -> Floats:
        """Take one step. Raises ``UsageError`` for another shape or type of x than the weights want."""
        try:  # no checks before it, which would cost as much as the step
            self._advance(x)
        except (ValueError, TypeError, BufferError):
            self._advance(self._fit(x))
        return self._h

    def reset(self) -> None:
        """Begin again from a state of zeros."""
        for one in self.state:
            one[...] = 0

    def _fit(self, x: Floats) -> Floats:
        """x as the engine takes it, or why it never will."""
        x = np.asarray(x)
        if x.shape != self._shape or x.dtype != self._dtype:
            raise UsageError(f"x: got {list(x.shape)} of {x.dtype}, wanted {list(self._shape)} of {self._dtype}")
        return np.require(x, requirements=["C", "ALIGNED"])

    def _normalized(self, x: Floats) -> None:
        weights = self._stepper.weights
        self._engine.step(part(self._fit(x), weights.w_ih, weights.b_ih, weights.g_ih)[0])

    def _by_stepper(self, x: Floats) -> None:
        for one, after in zip(self.state, self._stepper.step(self._fit(x), self.state), strict=True):
            one[...] = after


def _to_engine(state: Sequence[Floats]) -> list[Floats]:
    """h, and c where there is one, contiguous."""
    return list(map(np.ascontiguousarray, to_engine(np, state)))


def _input_part(
    spec: CellSpec, x: Floats, weights: Weights[Floats], walk: Walk[NDArray[Any]]
) -> tuple[Floats, list[Floats | None], tuple[Any, ...]]:
    """What the engine reads in place of x, the weights that are left for it, and what the way back needs."""
    if not spec.layer_norm:
        return x, _dense_weights(weights), ()
    if walk.lengths is not None:  # padding may hold anything, even NaN
        x = np.where(np.arange(len(x))[:, None, None] < walk.lengths[:, None], x, 0).astype(x.dtype)
    u, tape = part(x.reshape(-1, x.shape[-1]), weights.w_ih, weights.b_ih, weights.g_ih)
    return u.reshape(*x.shape[:2], u.shape[-1]), _dense_weights(_given(weights)), tape


def _given(weights: Weights[Floats]) -> Weights[Floats]:
    """The weights without those of the input part."""
    return replace(weights, w_ih=None, b_ih=None, g_ih=None)  # type: ignore[arg-type]


def _dense_rows(array: Floats) -> Floats:
    """[T, B, ·] with a dense last axis, which is all that the engine asks."""
    return array if array.strides[-1] == array.itemsize else np.ascontiguousarray(array)


def _dense_weights(weights: Weights[Floats]) -> list[Floats | None]:
    return [None if one is None else np.ascontiguousarray(one) for one in weights.fused()]


def _dense_walk(walk: Walk[NDArray[Any]]) -> Walk[NDArray[Any]]:
    def dense(array: NDArray[Any] | None, dtype: Any = None) -> Any:
        return None if array is None else np.ascontiguousarray(array, dtype)

    return Walk(
        dense(walk.lengths, np.int64), walk.reverse, dense(walk.reset, np.bool_), dense(walk.dropout),
        tuple(map(dense, zoneout_to_engine(np, walk.zoneout))),
    )  # fmt: skip
