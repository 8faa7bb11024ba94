"""Layers on top of each other with a way round each: residual and highway connections.

They connect layers at one step. Zilly 2017 builds highways inside a step, from one h to the next: another cell, not
another way to stack.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from seriatim.errors import UsageError, nearest
from seriatim.nn import checks
from seriatim.nn.dropout import locked
from seriatim.nn.sequence import AnyLayer, SequenceLayer
from seriatim.ops.recurrence import State


class Connection(nn.Module, ABC):
    """A way round F, for steps [T, B, width]."""

    @abstractmethod
    def forward(self, x: Tensor, of_x: Tensor) -> Tensor:
        """x and F(x), [T, B, C] each → [T, B, C]."""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw what it has of weights anew."""


@final
class Residual(Connection):
    """y = x + F(x) (He 2016)."""

    def __init__(self, width: int, like: Tensor | None = None) -> None:
        super().__init__()

    def reset_parameters(self) -> None:
        pass

    def forward(self, x: Tensor, of_x: Tensor) -> Tensor:
        return x + of_x


@final
class Highway(Connection):
    """y = t ⊙ F(x) + (1 - t) ⊙ x with t = σ(x Wᵀ + b) (Srivastava 2015); b starts at -1, so that x passes at first."""

    def __init__(self, width: int, like: Tensor | None = None) -> None:
        super().__init__()
        self.transform = nn.Linear(width, width)
        if like is not None:
            self.transform.to(like.device, like.dtype)
        nn.init.constant_(self.transform.bias, -1.0)

    def reset_parameters(self) -> None:
        self.transform.reset_parameters()
        nn.init.constant_(self.transform.bias, -1.0)

    def forward(self, x: Tensor, of_x: Tensor) -> Tensor:
        t = torch.sigmoid(self.transform(x)).to(x.dtype)
        return x + t * (of_x - x)


CONNECTIONS: dict[str, Callable[[int, Tensor | None], Connection]] = {"residual": Residual, "highway": Highway}
"""By the name of the argument ``connection``."""


@final
class Stacked(AnyLayer):
    """Recurrent layers of any cells, one on top of the other, with a connection round each but the first.

        Stacked([LSTM(8, 16), LSTM(16, 16), LSTM(16, 16)], "residual")

    The first has none, since what it reads is as wide as it is. Call forms are those of ``layers.py``, with the states
    of all layers one after another: h_n [L·D, B, H]. Layers are time-major, of one layer and as many directions each,
    with states of one kind and size. ``dropout`` and ``locked_dropout`` stand before each layer but the first, not on
    the way round it. Raises ``UsageError`` for layers that do not fit.
    """

    def __init__(
        self,
        layers: Sequence[SequenceLayer],
        connection: str = "residual",
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        locked_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not layers:
            raise UsageError("layers: got none, wanted at least one")
        first = layers[0]
        for number, layer in enumerate(layers):
            _check(number, layer, first)
        self.connection = connection
        self.batch_first = checks.flag("batch_first", batch_first)
        self.dropout = checks.probability("dropout", dropout)
        self.locked_dropout = checks.probability("locked_dropout", locked_dropout)
        self.input_size, self.output_size = first.input_size, first.output_size
        self.num_layers, self.bidirectional = len(layers), first.bidirectional
        self.layers = nn.ModuleList(layers)
        self.connections = nn.ModuleList(
            connect(connection, layer.output_size, next(layer.parameters())) for layer in layers[1:]
        )

    @property
    def state_sizes(self) -> dict[str, int]:
        first = self.layers[0]
        assert isinstance(first, SequenceLayer)
        return dict(first.state_sizes)

    def reset_parameters(self) -> None:
        """Draw the weights of the layers anew, from the first to the last, then those of the connections."""
        for one in (*self.layers, *self.connections):
            one.reset_parameters()

    def run_layers(
        self, x: Tensor, state: State, lengths: Tensor | None, starts: Tensor | None, reverse: bool, every: bool
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        directions = 2 if self.bidirectional else 1
        finals, told = [], []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, SequenceLayer)
            first = tuple(one[number * directions : (number + 1) * directions] for one in state)
            hx = first if len(first) > 1 else first[0]
            read = self._dropped(x) if number else x
            output, final, inside = layer.run(read, hx, lengths, starts, reverse, "all" if every else None)
            assert isinstance(output, Tensor)
            x = self.connections[number - 1](x, output) if number else output
            finals.append(final)
            told.append(inside)
        after = tuple(torch.cat(each) for each in zip(*finals, strict=True))
        shared = [name for name in told[0] if all(name in one for one in told)]
        return x, after, {name: torch.cat([one[name] for one in told]) for name in shared}

    def _dropped(self, x: Tensor) -> Tensor:
        x = dropout(x, self.dropout, self.training) if self.dropout else x
        return locked(x, self.locked_dropout, self.training)

    def extra_repr(self) -> str:
        return f"connection='{self.connection}'"


def connect(name: str, width: int, like: Tensor | None = None) -> Connection:
    """Make the connection of that name for steps [T, B, width], its weights of the kind of ``like``."""
    if name not in CONNECTIONS:
        raise UsageError(f"connection: got '{name}'{nearest(name, CONNECTIONS)}")
    return CONNECTIONS[name](width, like)


def _check(number: int, layer: SequenceLayer, first: SequenceLayer) -> None:
    """Refuse a layer that cannot stand in the stack, by its number."""
    if not isinstance(layer, SequenceLayer):
        raise UsageError(f"layers: number {number} is {type(layer).__name__}, wanted a recurrent layer of seriatim.nn")
    if layer.num_layers != 1 or layer.batch_first:
        raise UsageError(f"layers: number {number} has several layers or batch_first, wanted one, time-major")
    if (layer.bidirectional, dict(layer.state_sizes)) != (first.bidirectional, dict(first.state_sizes)):
        raise UsageError(f"layers: number {number} has other directions or states than number 0, wanted the same")
    if number and layer.input_size != layer.output_size:
        raise UsageError(
            f"layers: number {number} takes {layer.input_size} and gives {layer.output_size}, wanted the same for a "
            "connection round it"
        )
