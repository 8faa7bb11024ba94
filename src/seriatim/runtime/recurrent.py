"""The recurrent body: a stack of cells, run by the native engine or by its twin."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, RunError, UsageError
from seriatim.kernels import native, reference
from seriatim.kernels.cell import State
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.notation import PEEPHOLES
from seriatim.runtime.arithmetic import Floats, affine, affine_rows, layer_norm
from seriatim.runtime.body import Body, Carry
from seriatim.runtime.connections import Connection, read_connection
from seriatim.runtime.description import Description
from seriatim.runtime.short_convolution import ShortConvolution
from seriatim.runtime.weights import WeightFile
from seriatim.spec import CellSpec

CONNECTIONS: Final = {name: name for name in ("none", "residual", "highway", "block")}
FEW: Final = 32
"""The number of rows up to which a single step runs on one thread; more rows share the threads."""
DIRECTIONS: Final = ("forward", "backward")
TYPES: Final[dict[str, tuple[type, ...]]] = {
    "kind": (str,), "activation": (str,), "bias": (bool,), "reset_after": (bool,), "peephole": (bool,),
    "layer_norm": (bool,), "clip": (int, float),
}  # fmt: skip
"""The types of the fields of a cell spec that are not whole numbers."""


def weight_shapes(spec: CellSpec) -> dict[str, tuple[int, ...]]:
    """The shape of each weight of a cell, by the names of the fields of ``Weights``."""
    rows, width = len(spec.gates) * spec.hidden_size, spec.output_size
    shapes: dict[str, tuple[int, ...]] = {"w_ih": (rows, spec.input_size)}
    if not spec.is_diagonal:
        shapes["w_hh"] = (rows, width)
    if spec.bias:
        shapes |= {"b_ih": (rows,)} if spec.is_diagonal else {"b_ih": (rows,), "b_hh": (rows,)}
    if spec.proj_size:
        shapes["w_hr"] = (spec.proj_size, spec.hidden_size)
    if spec.peephole:
        shapes["w_ch"] = (len(PEEPHOLES[spec.kind]), spec.hidden_size)
    if spec.layer_norm:
        shapes |= {"g_ih": (rows,), "g_hh": (rows,)}
        if spec.kind in PEEPHOLES:
            shapes |= {"g_c": (spec.hidden_size,), "b_c": (spec.hidden_size,)}
    if spec.kind == "lru":
        shapes |= {"decay": (3, spec.hidden_size), "w_hy": (spec.hidden_size, 2 * spec.hidden_size)}
    return shapes


@dataclass(frozen=True)
class Direction:
    """One cell with its weights, in one direction of a layer."""

    spec: CellSpec
    weights: Weights[Floats]
    zoneout: tuple[float, ...]
    """The share of each state that stays at a step; empty for none."""
    reverse: bool
    precision: str = "full"
    """The products of single steps, as of ``CellStepper``."""

    def run(self, x: Floats, state: State, lengths: NDArray[np.int64] | None) -> tuple[Floats, State]:
        """Run over x [T, B, I]."""
        if len(x) == 1 and x.shape[1] <= FEW and lengths is None and not self.zoneout and self.precision == "full":
            stepper = self.stepper  # its weights are packed once
            if stepper is not None:
                after = stepper.step(x[0], state)
                return after[0][None], after
        shares = tuple(
            np.full((1, 1, part.shape[-1]), rate, np.float32) for part, rate in zip(state, self.zoneout, strict=False)
        )
        walk: Walk[NDArray[Any]] = Walk(lengths, self.reverse, zoneout=shares)
        output, final_state, _ = native.forward(self.spec, x, state, self.weights, walk)
        return output, final_state

    @cached_property
    def stepper(self) -> native.CellStepper | None:
        """Single steps on the engine; None for a cell that it lacks."""
        return (
            native.CellStepper(self.spec, self.weights, self.precision)
            if native.fuses(self.spec) and native.ready()
            else None
        )

    def input_part(self, x: Floats) -> Floats | None:
        """The input part of the gates [1, G·H] for x [1, I] if a step computes it before the engine's step."""
        return self.stepper.input_part(x) if self.spec.layer_norm and self.stepper is not None else None

    def step_rows(self, x: Floats, state: State, parts: Sequence[Floats] | None = None) -> State:
        """One step of rows x [B, I]. ``parts`` are the rows' ``input_part``, if they are known."""
        if len(x) > 1 and self.stepper is not None and not self.spec.layer_norm:
            after = self.stepper.step(x, state)
        elif len(x) == 1:
            after = self._step(x, state, None if parts is None else parts[0])
        else:
            steps = [
                self._step(
                    x[row : row + 1], [part[row : row + 1] for part in state], None if parts is None else parts[row]
                )
                for row in range(len(x))
            ]
            after = tuple(map(np.concatenate, zip(*steps, strict=True)))
        if not self.zoneout:
            return after
        rates = map(np.float32, self.zoneout)
        return tuple(rate * old + (1 - rate) * new for rate, old, new in zip(rates, state, after, strict=True))

    def _step(self, x: Floats, state: Sequence[Floats], part: Floats | None) -> State:
        """One step of a single row. ``part`` is its ``input_part``, if it is known."""
        if self.stepper is None:
            return reference.step(self.spec, x, tuple(state), self.weights)
        if self.spec.layer_norm:  # rows are always stepped one by one
            return self.stepper.advance(self.stepper.input_part(x) if part is None else part, tuple(state))
        if self.precision != "full":
            return self.stepper.step(x, tuple(state))
        # The engine sums a single row in another order than several rows. Given the row twice, it sums in their order.
        twice = self.stepper.step(np.concatenate([x, x]), tuple(np.concatenate([part, part]) for part in state))
        return tuple(part[:1] for part in twice)


@final
class Recurrent(Body):
    """Layers of cells in one direction or two, each with its connection.

    The carry has one array [L·D, B, ·] for each state of a cell, and one for the inputs of convolutions, if there are
    any.
    """

    def __init__(self, description: Description, weights: WeightFile, prefix: str = "body") -> None:
        self.input_size = width = description.size("input_size")
        self.directions = 2 if description.flag("bidirectional") else 1
        self.is_causal = self.directions == 1
        self._connection = description.choice("connection", CONNECTIONS)
        self._input, self._norm = None, None
        if self._connection == "block":
            width = description.size("width")
            if width != self.input_size:
                weight = weights.take(f"{prefix}.input.weight", width, self.input_size)
                self._input = weight, weights.take(f"{prefix}.input.bias", width)
            self._norm = weights.take(f"{prefix}.norm.weight", width), weights.take(f"{prefix}.norm.bias", width)
        steps = description.size("convolution", 2) if description.has("convolution") else 0
        if steps and self._connection != "block":
            raise RunError(f"{description.place}: a convolution without blocks")
        self._convolutions: list[ShortConvolution] = []
        self._layers: list[list[Direction]] = []
        self._connections: list[Connection] = []
        for number, layer in enumerate(description.parts("layers")):
            spec = _cell(layer, width)
            zoneout = _rates(layer, spec)
            names = DIRECTIONS[: self.directions]
            self._layers.append(
                [_direction(weights, f"{prefix}.{number}.{name}", spec, zoneout, name == "backward") for name in names]
            )  # fmt: skip
            if steps:
                self._convolutions.append(ShortConvolution(weights, f"{prefix}.{number}.convolution", width, steps))
            width = len(names) * spec.output_size
            self._connections.append(read_connection(self._connection, number, weights, f"{prefix}.{number}", width))
            is_first = number == 0 and self._connection != "block"
            if not is_first and self._connection != "none" and width != spec.input_size:
                raise RunError(f"{layer.place}: {spec.input_size} inputs and {width} outputs, wanted the same")
            layer.done()
        if not self._layers:
            raise RunError(f"{description.place}: no layers")
        first = self._layers[0][0].spec
        if any(direction.spec.states != first.states or direction.spec.hidden_size != first.hidden_size
               or direction.spec.output_size != first.output_size
               for layer in self._layers for direction in layer):  # fmt: skip
            raise RunError(f"{description.place}: layers with different states, wanted the same")
        self.state_sizes = tuple(first.state_size(name) for name in first.states)
        if self._convolutions:
            self.state_sizes = (*self.state_sizes, self._convolutions[0].state_size)
        self.output_size = width

    def start(self, rows: int) -> Carry:
        """Return the carry at the beginning: zeros."""
        count = len(self._layers) * self.directions
        return tuple(np.zeros((count, rows, width), np.float32) for width in self.state_sizes)

    def run(self, x: Floats, carry: Carry = (), lengths: NDArray[np.int64] | None = None) -> tuple[Floats, Carry]:
        carry = carry or self.start(x.shape[1])
        finals: list[State] = []
        if self._input is not None:
            x = affine(x, *self._input)
        for number, (layer, connection) in enumerate(zip(self._layers, self._connections, strict=True)):
            outputs, read, past = [], connection.enter(x), None
            if self._convolutions:
                read, past = self._convolutions[number].run(read, carry[-1][number * self.directions], lengths)
            for place, direction in enumerate(layer, number * self.directions):
                state = tuple(np.ascontiguousarray(part[place]) for part in carry[: len(direction.spec.states)])
                output, state = direction.run(read, state, lengths)
                outputs.append(output)
                finals.append(state if past is None else (*state, past))
                past = None if past is None else np.zeros_like(past)  # a second direction keeps none
            x = connection.leave(x, outputs[0] if len(outputs) == 1 else np.concatenate(outputs, -1))
        return x if self._norm is None else layer_norm(x, *self._norm), _stacked(finals)

    @property
    def has_reduced_steps(self) -> bool:
        return any(cell.precision != "full" and cell.stepper is not None for layer in self._layers for cell in layer)

    def input_part(self, x: Floats) -> Floats | None:
        is_first = self._input is None and self._connection != "block" and not self._convolutions
        return self._layers[0][0].input_part(x) if is_first else None

    def step_rows(
        self, x: Floats, carries: Sequence[Carry], parts: Sequence[Floats] | None = None
    ) -> tuple[Floats, list[Carry]]:
        whole = [carry or self.start(1) for carry in carries]
        joint = [np.concatenate(parts, 1) for parts in zip(*whole, strict=True)] if len(whole) > 1 else whole[0]
        finals: list[State] = []
        if self._input is not None:
            x = affine_rows(x, *self._input)
        for number, (layer, connection) in enumerate(zip(self._layers, self._connections, strict=True)):
            read = _by_rows(connection.enter, x)
            before = tuple(part[number] for part in joint)
            past: State = ()
            if self._convolutions:
                read, after_read = self._convolutions[number].step(read, before[-1])
                before, past = before[:-1], (after_read,)
            state = layer[0].step_rows(read, before, None if number else parts)
            finals.append((*state, *past))
            x = _by_rows(connection.leave, x, state[0])
        if self._norm is not None:
            weight, bias = self._norm
            x = _by_rows(lambda row: layer_norm(row, weight, bias), x)
        after = _stacked(finals)
        if len(whole) == 1:
            return x, [after]
        return x, [tuple(part[:, row : row + 1].copy() for part in after) for row in range(len(x))]

    def check_carry(self, carry: Carry) -> None:
        if carry and [(part.shape, part.dtype) for part in carry] != [
            (part.shape, part.dtype) for part in self.start(1)
        ]:
            raise DataError("snapshot: damaged (a carry of another shape)")


def _by_rows(function: Callable[..., Floats], *arrays: Floats) -> Floats:
    """Apply ``function`` to each row [1, C] of the arrays by itself, so that the rows' bits do not depend on others."""
    if len(arrays[0]) == 1:
        return function(*arrays)
    rows = [function(*(array[row : row + 1] for array in arrays)) for row in range(len(arrays[0]))]
    return np.concatenate(rows)


def _cell(layer: Description, width: int) -> CellSpec:
    """Read a cell spec; its input has ``width`` channels."""
    cell = layer.part("cell")
    defaults = {field.name: field.default for field in dataclasses.fields(CellSpec)}
    settings = {name: cell.value(name) for name in defaults if cell.has(name)}
    cell.done()
    for name, value in settings.items():
        types = TYPES.get(name, (int,))
        if not isinstance(value, types) or (bool not in types and isinstance(value, bool)):
            cell.refuse(name, "another type")
    cell.text("kind")
    for name in ("input_size", "hidden_size"):
        cell.size(name)
    if cell.has("proj_size"):
        cell.size("proj_size", 0)
    try:
        spec = CellSpec(**settings)
    except UsageError as error:
        raise RunError(f"{cell.place}: {error}") from None
    if spec.input_size != width:
        raise RunError(f"{cell.place}: input_size is {spec.input_size}, wanted {width}")
    return spec


def _rates(layer: Description, spec: CellSpec) -> tuple[float, ...]:
    rates = layer.items("zoneout")
    if len(rates) not in (0, len(spec.states)):
        layer.refuse("zoneout", f"{len(spec.states)} numbers or none")
    if not all(isinstance(rate, (int, float)) and 0 <= rate < 1 for rate in rates):
        layer.refuse("zoneout", "numbers from 0 to 1")
    return tuple(map(float, rates))


def _direction(file: WeightFile, prefix: str, spec: CellSpec, zoneout: tuple[float, ...], reverse: bool) -> Direction:
    weights = _weights(file, prefix, spec)
    has_products = native.has_reduced_products(spec)
    return Direction(spec, weights, zoneout, reverse, file.precision(f"{prefix}.w_hh") if has_products else "full")


def _weights(file: WeightFile, prefix: str, spec: CellSpec) -> Weights[Floats]:
    arrays: dict[str, Any] = {
        name: file.take(f"{prefix}.{name}", *shape) for name, shape in weight_shapes(spec).items()
    }
    return Weights(**arrays)


def _stacked(states: Sequence[State]) -> Carry:
    if len(states) == 1:
        return tuple(part[None] for part in states[0])
    return tuple(map(np.stack, zip(*states, strict=True)))
