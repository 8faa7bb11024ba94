"""A layer of any cell."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn.functional import dropout

from seriatim.errors import UsageError
from seriatim.nn import checks
from seriatim.nn.custom_cell import Cell, Maker
from seriatim.nn.dropout import locked
from seriatim.nn.segment_runner import Runner
from seriatim.nn.sequence import AnyLayer, reversed_reset
from seriatim.ops.recurrence import State


@final
class Recurrent(AnyLayer):
    """Stacked layers of the cells that ``maker`` makes, in one direction or two, each with a cell of its own.

    ``maker`` is a subclass of ``Cell``, what ``cell`` returns, or any function (input size, hidden size) → ``Cell``.
    Call forms are those of ``layers.py``: the state is one tensor where the cell has one state, a tuple otherwise, and
    ``return_states="all"`` gives each state by its name. Parameters are those of ``cell_l0``, ``cell_l0_reverse``, …

    With ``compile``, ``torch.compile`` makes one function of 8 steps, in some ten seconds when the layer is first
    called (again for training, for another batch size, …). Where it fails the layer warns and runs step by step.
    Raises ``UsageError`` for arguments that do not fit.
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
        self._runners = [Runner(checks.flag("compile", compile)) for _ in range(num_layers * len(self._directions))]
        width = input_size
        for layer in range(num_layers):
            for direction in self._directions:
                made = maker(width, hidden_size)
                if not isinstance(made, Cell):
                    raise UsageError(f"maker: made {type(made).__name__}, wanted a seriatim.nn.Cell")
                self.add_module(f"cell_l{layer}{direction}", made.to(device=device, dtype=dtype))
            width = len(self._directions) * next(iter(made.state_sizes.values()))
        self._sizes = dict(made.state_sizes)
        self.output_size = width

    @property
    def state_sizes(self) -> dict[str, int]:
        return dict(self._sizes)

    def reset_parameters(self) -> None:
        """Draw the weights of every cell anew, in their order: the same seed gives the same weights."""
        for cell in self._cells():
            cell.reset_parameters()

    def run_layers(
        self, x: Tensor, state: State, lengths: Tensor | None, starts: Tensor | None, reverse: bool, every: bool
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        alive = None if lengths is None else (torch.arange(len(x))[:, None] < lengths).to(x.device).unsqueeze(2)
        befores = zip(*(one.unbind(0) for one in state), strict=True)
        afters: list[State] = []
        told: list[tuple[Tensor, ...]] = []
        for number, (cell, runner, before) in enumerate(zip(self._cells(), self._runners, befores, strict=True)):
            layer, direction = divmod(number, len(self._directions))
            if layer and not direction:
                x = torch.cat([one[0] for one in told[-len(self._directions) :]], dim=-1)
                x = dropout(x, self.dropout, self.training) if self.dropout else x
                x = locked(x, self.locked_dropout, self.training)
            inside, after = _walked(cell, runner, x, before, alive, starts, (direction == 1) != reverse)
            told.append(inside)
            afters.append(after)
        output = torch.cat([one[0] for one in told[-len(self._directions) :]], dim=-1)
        final = tuple(torch.stack(each) for each in zip(*afters, strict=True))
        return output, final, {
            name: torch.stack(each) for name, each in zip(self._sizes, zip(*told, strict=True), strict=True)
        } if every else {}  # fmt: skip

    def _cells(self) -> list[Cell]:
        return [one for one in self.children() if isinstance(one, Cell)]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


def _walked(
    cell: Cell, runner: Runner, x: Tensor, state: State, alive: Tensor | None, starts: Tensor | None, reverse: bool
) -> tuple[tuple[Tensor, ...], State]:
    """One cell over x [T, B, I] → every state [T, B, ·], 0 where ``alive`` [T, B, 1] is not, and the last.

    Rows keep their state where they are not alive: before their last step when read from the end.
    """
    kept = None
    if starts is not None:
        kept = ~(reversed_reset(starts) if reverse else starts).unsqueeze(2)
    if alive is not None:
        x = torch.where(alive, x, 0.0)
    if reverse:
        x = x.flip(0)
        alive, kept = (None if one is None else one.flip(0) for one in (alive, kept))
    every, last = runner.run(cell, cell.read(x), state, alive, kept)
    if alive is not None:
        every = tuple(torch.where(alive, one, 0.0) for one in every)
    return (tuple(one.flip(0) for one in every) if reverse else every), last
