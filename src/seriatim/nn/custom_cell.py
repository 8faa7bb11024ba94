"""A cell of one's own: a subclass of ``Cell``, or a step function of tensors, becomes a layer by ``Recurrent``.

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
"""(input size, hidden size) → a new cell: the class itself, or what ``cell`` returns."""
Shape: TypeAlias = Sequence[str | int]
"""As ("2H", "I"): sizes, or how many times the input size I or the hidden size H."""


class Cell(nn.Module, ABC):
    """One step of a recurrence. ``states`` are the names of what it carries, or a width for each; the first is h.

    A subclass makes its parameters and calls ``reset_parameters``. Its state before the first step is zeros.
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
        """x [B, I], or what ``read`` made of it, and the state, [B, ·] each → the next state.

        Rows must not touch each other, and nothing that came in may be written to.
        """

    def read(self, x: Tensor) -> Tensor:
        """What of a step sees x alone, for all steps at once: x [T, B, I] → [T, B, ·]. Unless it is replaced, x.

        One product over all steps is much faster than one for each.
        """
        return x

    def reset_parameters(self) -> None:
        """Draw the cell's own parameters from U(-1/√H, 1/√H) in their order; modules in it draw theirs."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters(recurse=False):
            nn.init.uniform_(parameter, -bound, bound)
        for module in self.children():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()

    @final
    def step(self, x: Tensor, state: State | None = None) -> State:
        """x [B, I] and the state, [B, ·] each (zeros if None) → the next state."""
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
    """Make cells of a function ``step(x, h, …, weight, …)``: x [B, I], the states by position, the weights by name.

    It returns the next h, or a tuple of as many as ``states``. ``weights`` gives each weight's shape, as ("2H", "I").
    ``read(x, weight, …)``, if given, is what of a step sees x alone (``Cell.read``). Each function is handed the
    weights that it names. Raises ``UsageError`` for a name without weight, a weight that none names, or no shape.
    """
    first = len(states) + 1
    of_step = tuple(inspect.signature(step).parameters)[first:]
    of_read = tuple(inspect.signature(read).parameters)[1:] if read else ()
    for name in (*of_step, *of_read):
        if name not in weights:
            raise UsageError(f"weights: got {', '.join(weights) or 'none'}, wanted '{name}' as well")
    for name, shape in weights.items():
        if name not in (*of_step, *of_read):
            raise UsageError(f"weights: '{name}' is named by no function, wanted {', '.join((*of_step, *of_read))}")
        _sizes(name, shape, 1, 1)

    def make(input_size: int, hidden_size: int) -> Cell:
        shapes = {name: _sizes(name, shape, input_size, hidden_size) for name, shape in weights.items()}
        return StepCell(input_size, hidden_size, states, shapes, (step, of_step), (read, of_read))

    return make


@final
class StepCell(Cell):
    """A cell made of functions, each with the names of the weights that it is handed."""

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
        self._step, self._of_step = step
        self._read, self._of_read = read
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    def forward(self, x: Tensor, state: State) -> State:
        new = self._step(x, *state, **self._named(self._of_step))
        return (new,) if isinstance(new, Tensor) else new

    def read(self, x: Tensor) -> Tensor:
        return x if self._read is None else self._read(x, **self._named(self._of_read))

    def _named(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}


def _sizes(name: str, shape: Shape, input_size: int, hidden_size: int) -> tuple[int, ...]:
    """The shape in numbers."""
    found = []
    for one in shape:
        if isinstance(one, int) and one > 0:
            found.append(one)
            continue
        match = re.fullmatch(r"(\d*)([IH])", str(one))
        if match is None:
            raise UsageError(f"weights: '{name}' has {one!r} in its shape, wanted a size, I, H or as 2H")
        found.append(int(match[1] or 1) * (input_size if match[2] == "I" else hidden_size))
    return tuple(found)
