"""Cells that users write: a subclass of ``Cell``, or a step function that ``cell`` turns into one.

def indrnn(x, h, w, u, b):                          # Li 2018: h = relu(x Wᵀ + u ⊙ h + b)
    return torch.relu(linear(x, w, b) + u * h)

IndRNN = cell(indrnn, weights={"w": ("H", "I"), "u": ("H",), "b": ("H",)})
layer = Recurrent(IndRNN, 8, 16, bidirectional=True)
"""

from __future__ import annotations

import inspect
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.nn import checks
from seriatim.ops.recurrence import State

Maker: TypeAlias = Callable[[int, int], "Cell"]
"""A function (input size, hidden size) → a new cell: a ``Cell`` class, or the result of ``cell``."""
Shape: TypeAlias = Sequence[str | int]
"""A shape such as ("2H", "I"): numbers, or multiples of the input size I or the hidden size H."""


class Cell(nn.Module, ABC):
    """One step of a recurrence, as a base class for cells of your own.

    ``states`` are the names of the states, each of width H, or a mapping from names to widths. The first is h, the
    output. A subclass creates its parameters and calls ``reset_parameters``. The state before the first step is zeros.
    ``Recurrent`` makes a layer of cells, and ``check_cell`` tests one. Raises ``UsageError`` for sizes below 1 and for
    no states.

    >>> class Leaky(Cell):
    ...     def forward(self, x, state):
    ...         return (0.9 * state[0] + 0.1 * x,)
    >>> (h,) = Leaky(4, 4).step(torch.randn(3, 4))
    >>> h.shape
    torch.Size([3, 4])
    """

    def __init__(self, input_size: int, hidden_size: int, states: Sequence[str] | Mapping[str, int] = ("h",)) -> None:
        super().__init__()
        self.input_size = checks.size("input_size", input_size)
        self.hidden_size = checks.size("hidden_size", hidden_size)
        sizes = states if isinstance(states, Mapping) else dict.fromkeys(states, hidden_size)
        if not sizes:
            raise UsageError("states: got none, wanted at least one")
        self.state_sizes = {name: checks.size(name, size) for name, size in sizes.items()}

    @abstractmethod
    def forward(self, x: Tensor, state: State) -> State:
        """Compute the next state from ``read``'s result x [B, ·] and the state, a tuple of tensors [B, ·].

        Rows must not affect each other, and the arguments must not be changed in place.
        """

    def read(self, x: Tensor) -> Tensor:
        """Compute the part of the step that depends on x alone, for all steps at once: [T, B, I] → [T, B, ·].

        One product over all steps is much faster than one product per step. The default returns x.
        """
        return x

    def reset_parameters(self) -> None:
        """Draw the cell's own parameters from U(-1/√H, 1/√H) in their order; the modules in it draw their own."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters(recurse=False):
            nn.init.uniform_(parameter, -bound, bound)
        for module in self.children():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()

    @final
    def step(self, x: Tensor, state: State | None = None) -> State:
        """Run one step: x [B, I] and the state, a tuple of tensors [B, ·] (None is zeros) → the next state."""
        if state is None:
            state = tuple(x.new_zeros(len(x), size) for size in self.state_sizes.values())
        return self(self.read(x), state)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


def cell(
    step: Callable[..., Tensor | State],
    weights: Mapping[str, Shape],
    states: Sequence[str] = ("h",),
    read: Callable[..., Tensor] | None = None,
) -> Maker:
    """Turn a function ``step(x, h, …, weight, …)`` into a maker of cells, for ``Recurrent`` and ``register``.

    ``step`` gets x [B, I], the states [B, H] by position and the weights by name. It returns the next h, or a tuple
    with one tensor for each of ``states``. ``weights`` gives each weight's shape, such as ("2H", "I"). The optional
    ``read(x, weight, …)`` computes the part that depends on x alone for all steps at once (``Cell.read``). Each
    function gets the weights that it names. Raises ``UsageError`` if a named weight has no shape, if no function names
    a weight, or if a shape is malformed.

    >>> IndRNN = cell(lambda x, h, w, u: torch.relu(x @ w.T + u * h), {"w": ("H", "I"), "u": ("H",)})
    >>> IndRNN(8, 16).step(torch.randn(3, 8))[0].shape
    torch.Size([3, 16])
    """
    first = len(states) + 1
    step_weights = tuple(inspect.signature(step).parameters)[first:]
    read_weights = tuple(inspect.signature(read).parameters)[1:] if read else ()
    used = (*step_weights, *read_weights)
    for name in used:
        if name not in weights:
            raise UsageError(f"weights: got {', '.join(weights) or 'none'}, wanted '{name}' as well")
    for name, shape in weights.items():
        if name not in used:
            raise UsageError(f"weights: '{name}' is named by no function, wanted {', '.join(used)}")
        _sizes(name, shape, 1, 1)

    def make(input_size: int, hidden_size: int) -> Cell:
        shapes = {name: _sizes(name, shape, input_size, hidden_size) for name, shape in weights.items()}
        return StepCell(input_size, hidden_size, states, shapes, (step, step_weights), (read, read_weights))

    return make


@final
class StepCell(Cell):
    """A cell that calls functions, each with the weights that it names."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        states: Sequence[str],
        shapes: Mapping[str, tuple[int, ...]],
        step: tuple[Callable[..., Tensor | State], tuple[str, ...]],
        read: tuple[Callable[..., Tensor] | None, tuple[str, ...]],
    ) -> None:
        super().__init__(input_size, hidden_size, states)
        self._step, self._step_weights = step
        self._read, self._read_weights = read
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    def forward(self, x: Tensor, state: State) -> State:
        next_state = self._step(x, *state, **self._named(self._step_weights))
        return (next_state,) if isinstance(next_state, Tensor) else next_state

    def read(self, x: Tensor) -> Tensor:
        return x if self._read is None else self._read(x, **self._named(self._read_weights))

    def _named(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}


def _sizes(name: str, shape: Shape, input_size: int, hidden_size: int) -> tuple[int, ...]:
    """Return the shape of weight ``name`` in numbers."""
    sizes = []
    for size in shape:
        if isinstance(size, int) and size > 0:
            sizes.append(size)
            continue
        match = re.fullmatch(r"(\d*)([IH])", str(size))
        if match is None:
            raise UsageError(f"weights: '{name}' has {size!r} in its shape, wanted a size, I, H or as 2H")
        sizes.append(int(match[1] or 1) * (input_size if match[2] == "I" else hidden_size))
    return tuple(sizes)
