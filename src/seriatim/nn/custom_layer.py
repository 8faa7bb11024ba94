"""A layer of user-written cells."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import dropout

from seriatim.errors import UsageError
from seriatim.nn import checks
from seriatim.nn.custom_cell import Cell, Maker
from seriatim.nn.dropout import locked
from seriatim.nn.segment_runner import SegmentRunner
from seriatim.nn.sequence import AnyLayer, reversed_reset
from seriatim.ops.recurrence import State


@final
class Recurrent(AnyLayer):
    """Stacked layers of the cells that ``maker`` makes, in one direction or two, with one cell for each.

    ``maker`` is a subclass of ``Cell``, the result of ``cell``, or any function (input size, hidden size) → ``Cell``.
    x [T, B, I] → output [T, B, D·H] and the state, [L·D, B, H] each: one tensor for a cell with one state, a tuple
    otherwise. ``seriatim.nn.layers`` lists the other forms of a call; ``return_states="all"`` gives each state by its
    name. The cells have their parameters under ``cell_l0``, ``cell_l0_reverse``, …

    With ``compile``, ``torch.compile`` makes one function of 8 steps. This takes some ten seconds at the first call,
    and again for training, for another batch size, and so on. If it fails, the layer warns and runs step by step.
    Raises ``UsageError`` for arguments that do not fit.

    >>> from seriatim.nn import cell
    >>> IndRNN = cell(lambda x, h, w, u: torch.relu(x @ w.T + u * h), {"w": ("H", "I"), "u": ("H",)})
    >>> layer = Recurrent(IndRNN, 8, 16, bidirectional=True)
    >>> output, h_n = layer(torch.randn(5, 3, 8), lengths=[5, 2, 4])
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 32]), torch.Size([2, 3, 16]))
    """

    def __init__(
        self,
        maker: Maker,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        locked_dropout: float = 0.0,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.input_size = checks.size("input_size", input_size)
        self.hidden_size = checks.size("hidden_size", hidden_size)
        self.num_layers = checks.size("num_layers", num_layers)
        self.batch_first = checks.flag("batch_first", batch_first)
        self.bidirectional = checks.flag("bidirectional", bidirectional)
        self.dropout = checks.probability("dropout", dropout)
        self.locked_dropout = checks.probability("locked_dropout", locked_dropout)
        self._directions = ("", "_reverse") if bidirectional else ("",)
        count = num_layers * len(self._directions)
        self._runners = [SegmentRunner(checks.flag("compile", compile)) for _ in range(count)]
        width = input_size
        for layer in range(num_layers):
            for direction in self._directions:
                cell = maker(width, hidden_size)
                if not isinstance(cell, Cell):
                    raise UsageError(f"maker: made {type(cell).__name__}, wanted a seriatim.nn.Cell")
                self.add_module(f"cell_l{layer}{direction}", cell.to(device=device, dtype=dtype))
            width = len(self._directions) * next(iter(cell.state_sizes.values()))
        self._sizes = dict(cell.state_sizes)
        self.output_size = width

    @property
    def state_sizes(self) -> dict[str, int]:
        return dict(self._sizes)

    def reset_parameters(self) -> None:
        """Draw the weights of all cells anew, in their order. The same seed gives the same weights."""
        for cell in self._cells():
            cell.reset_parameters()

    def run_layers(
        self, x: Tensor, state: State, lengths: Tensor | None, reset: Tensor | None, reverse: bool, all_states: bool
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        directions = len(self._directions)
        in_row = None
        if lengths is not None:
            in_row = (torch.arange(len(x))[:, None] < lengths).to(x.device).unsqueeze(2)
        first_states = zip(*(part.unbind(0) for part in state), strict=True)
        last_states: list[State] = []
        states: list[tuple[Tensor, ...]] = []
        for index, (cell, runner, first) in enumerate(zip(self._cells(), self._runners, first_states, strict=True)):
            layer, direction = divmod(index, directions)
            if layer and not direction:
                x = self._output(states)
                x = dropout(x, self.dropout, self.training) if self.dropout else x
                x = locked(x, self.locked_dropout, self.training)
            cell_states, last = _run_cell(cell, runner, x, first, in_row, reset, (direction == 1) != reverse)
            states.append(cell_states)
            last_states.append(last)
        final = tuple(torch.stack(parts) for parts in zip(*last_states, strict=True))
        named = {}
        if all_states:
            named = {
                name: torch.stack(parts) for name, parts in zip(self._sizes, zip(*states, strict=True), strict=True)
            }
        return self._output(states), final, named

    def _output(self, states: list[tuple[Tensor, ...]]) -> Tensor:
        """The output of the last layer that has run: h of each of its directions."""
        return torch.cat([parts[0] for parts in states[-len(self._directions) :]], dim=-1)

    def _cells(self) -> list[Cell]:
        return [child for child in self.children() if isinstance(child, Cell)]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


def _run_cell(
    cell: Cell,
    runner: SegmentRunner,
    x: Tensor,
    state: State,
    in_row: Tensor | None,
    reset: Tensor | None,
    reverse: bool,
) -> tuple[tuple[Tensor, ...], State]:
    """Run one cell over x [T, B, I]. Returns each state [T, B, ·], 0 beyond a row's end, and the last states.

    ``in_row`` [T, B, 1] is False beyond a row's end. There the state does not change, so a direction that reads from
    the end still has its first state when it enters the row.
    """
    keeps_state = None
    if reset is not None:
        keeps_state = ~(reversed_reset(reset) if reverse else reset).unsqueeze(2)
    if in_row is not None:
        x = torch.where(in_row, x, 0.0)
    if reverse:
        x = x.flip(0)
        in_row, keeps_state = (None if mask is None else mask.flip(0) for mask in (in_row, keeps_state))
    states, last = runner.run(cell, cell.read(x), state, in_row, keeps_state)
    if in_row is not None:
        states = tuple(torch.where(in_row, values, 0.0) for values in states)
    return (tuple(values.flip(0) for values in states) if reverse else states), last
