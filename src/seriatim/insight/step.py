"""A recurrent module as one function of its input and one flat state vector.

Every measure of this room takes a ``Step``: a function (x [B, I], s [B, N]) → s' [B, N] in which rows do not influence
each other. ``flat_step`` makes it of a layer (of ``seriatim.nn`` or of ``torch.nn``), ``flat_cell`` of a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError

Step: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(x [B, I], s [B, N]) → s' [B, N]."""


@dataclass(frozen=True)
class FlatStep:
    """A step function with the layout of its flat state.

    N is the sum of the widths of all states of all layers; the states of one layer are next to each other.
    """

    function: Step
    size: int
    """N."""
    layers: tuple[slice, ...]
    """The range of each layer within N."""

    def __call__(self, x: Tensor, state: Tensor) -> Tensor:
        return self.function(x, state)

    def zeros(self, rows: int, like: Tensor) -> Tensor:
        """The state before the first step, [rows, N], in the dtype of ``like``."""
        return like.new_zeros(rows, self.size)


def flat_step(layer: nn.Module) -> FlatStep:
    """Make the step function of a recurrent layer or a stack of layers that read forwards.

    The state has the parts that the next step reads: an LRU's h is left out, since it is an output alone.
    Raises ``UsageError`` for a bidirectional layer.

    >>> step = flat_step(nn.LSTM(3, 5, num_layers=2))
    >>> step.size, step.layers
    (20, (slice(0, 10, None), slice(10, 20, None)))
    """
    if getattr(layer, "bidirectional", False):
        raise UsageError("layer: got a bidirectional layer, wanted one that reads forwards")
    x = next(layer.parameters()).new_zeros(1, 1, int(getattr(layer, "input_size")))  # noqa: B009
    with torch.no_grad():
        zeros = [torch.zeros_like(part) for part in _parts(layer(x)[1])]
    carried = tuple(getattr(layer, "recurrent_states", range(len(zeros))))
    widths = [zeros[index].shape[2] for index in carried]
    count, width = zeros[0].shape[0], sum(widths)
    batch_first = bool(getattr(layer, "batch_first", False))

    def step(x: Tensor, state: Tensor) -> Tensor:
        rows = len(state)
        pieces = torch.split(state.view(rows, count, width).transpose(0, 1), widths, dim=2)
        full = [x.new_zeros(count, rows, part.shape[2]) for part in zeros]
        for index, piece in zip(carried, pieces, strict=True):
            full[index] = piece.contiguous()
        state_in: Any = tuple(full) if len(full) > 1 else full[0]
        new = _parts(layer(x.unsqueeze(1 if batch_first else 0), state_in)[1])
        return torch.cat([new[index] for index in carried], dim=2).transpose(0, 1).reshape(rows, -1)

    return FlatStep(step, count * width, tuple(slice(at * width, (at + 1) * width) for at in range(count)))


def flat_cell(cell: nn.Module) -> FlatStep:
    """Make the step function of a cell: of ``seriatim.nn``, of ``torch.nn``, or a ``seriatim.nn.Cell`` of your own.

    >>> flat_cell(nn.GRUCell(3, 5)).size
    5
    """
    call: Callable[..., Any] = getattr(cell, "step", cell)  # a Cell's forward wants what ``read`` returns
    with torch.no_grad():
        probe = next((p for p in cell.parameters()), torch.zeros(())).new_zeros(1, int(getattr(cell, "input_size")))  # noqa: B009
        widths = [part.shape[1] for part in _parts(call(probe))]

    def step(x: Tensor, state: Tensor) -> Tensor:
        pieces = tuple(piece.contiguous() for piece in torch.split(state, widths, dim=1))
        is_tuple = len(pieces) > 1 or call is not cell
        return torch.cat(_parts(call(x, pieces if is_tuple else pieces[0])), dim=1)

    return FlatStep(step, sum(widths), (slice(0, sum(widths)),))


def trajectory(step: Step, inputs: Tensor, state: Tensor) -> Tensor:
    """Run the step over inputs [T, B, I] from the state [B, N]; return all states [T + 1, B, N], the first included.

    >>> trajectory(lambda x, s: s + x, torch.ones(3, 1, 1), torch.zeros(1, 1)).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    states = [state]
    with torch.no_grad():
        for x in inputs:
            states.append(step(x, states[-1]))
    return torch.stack(states)


def _parts(state: Any) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else list(state)
