"""Stacks of layers with residual or highway connections.

The connections go from the input of a layer to its output, at the same step. The recurrent highways of Zilly 2017 go
from one h to the next inside a step; they would be another cell.
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
from seriatim.nn.affine import Affine
from seriatim.nn.dropout import locked
from seriatim.nn.sequence import AnyLayer, SequenceLayer
from seriatim.ops.recurrence import State


class Connection(nn.Module, ABC):
    """A connection from the input x of a layer F to its output F(x), both [T, B, width]."""

    @abstractmethod
    def forward(self, x: Tensor, of_x: Tensor) -> Tensor:
        """Combine x and F(x), [T, B, C] each, to [T, B, C]."""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw the connection's own weights anew, if it has any."""


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
    """y = t ⊙ F(x) + (1 - t) ⊙ x with t = σ(x Wᵀ + b) (Srivastava 2015); b starts at -1, so x passes at first."""

    def __init__(self, width: int, like: Tensor | None = None) -> None:
        super().__init__()
        self.transform = Affine(width, width)
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
"""The connections by the value of the argument ``connection``."""


@final
class Stacked(AnyLayer):
    """A stack of recurrent layers of any cells, with a residual or highway connection past each layer but the first.

    The first layer has no connection, because its input may have another width. x [T, B, I] → output [T, B, D·H] and
    the states of all layers one after another, h_n [L·D, B, H]; ``seriatim.nn.layers`` lists the other forms of a call.
    Each of ``layers`` is time-major, has ``num_layers=1``, and has the same directions and states as the others.
    ``dropout`` and ``locked_dropout`` apply to the input of each layer but the first, not to its connection. Sources:
    He 2016 (residual), Srivastava 2015 (highway). Raises ``UsageError`` for layers that do not fit.

    >>> from seriatim.nn import LSTM
    >>> stack = Stacked([LSTM(8, 16), LSTM(16, 16), LSTM(16, 16)], "residual")
    >>> output, (h_n, c_n) = stack(torch.randn(5, 3, 8))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 16]), torch.Size([3, 3, 16]))
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
        check_stackable(layers, from_number=1)
        first = layers[0]
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
        """Draw the weights of the layers anew, from the first to the last, then the weights of the connections."""
        for module in (*self.layers, *self.connections):
            module.reset_parameters()

    def run_layers(
        self, x: Tensor, state: State, lengths: Tensor | None, reset: Tensor | None, reverse: bool, all_states: bool
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        directions = 2 if self.bidirectional else 1
        finals, states = [], []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, SequenceLayer)
            first = tuple(part[number * directions : (number + 1) * directions] for part in state)
            hx = first if len(first) > 1 else first[0]
            layer_input = self._with_dropout(x) if number else x
            output, final, layer_states = layer.run(
                layer_input, hx, lengths, reset, reverse, "all" if all_states else None
            )
            assert isinstance(output, Tensor)
            x = self.connections[number - 1](x, output) if number else output
            finals.append(final)
            states.append(layer_states)
        last = tuple(torch.cat(parts) for parts in zip(*finals, strict=True))
        shared_names = [name for name in states[0] if all(name in values for values in states)]
        return x, last, {name: torch.cat([values[name] for values in states]) for name in shared_names}

    def _with_dropout(self, x: Tensor) -> Tensor:
        x = dropout(x, self.dropout, self.training) if self.dropout else x
        return locked(x, self.locked_dropout, self.training)

    def extra_repr(self) -> str:
        return f"connection='{self.connection}'"


def connect(name: str, width: int, like: Tensor | None = None) -> Connection:
    """Return the connection called ``name`` for steps [T, B, width], with the dtype and device of ``like``.

    Raises ``UsageError`` for an unknown name.
    """
    if name not in CONNECTIONS:
        raise UsageError(f"connection: got '{name}'{nearest(name, CONNECTIONS)}")
    return CONNECTIONS[name](width, like)


def check_stackable(layers: Sequence[SequenceLayer], from_number: int) -> None:
    """Raise ``UsageError`` unless the layers fit on each other, and those from ``from_number`` on a connection."""
    if not layers:
        raise UsageError("layers: got none, wanted at least one")
    for number, layer in enumerate(layers):
        _check(number, layer, layers[0], is_connected=number >= from_number)


def _check(number: int, layer: SequenceLayer, first: SequenceLayer, *, is_connected: bool) -> None:
    """Raise ``UsageError``, with the layer's number, if it does not fit into the stack."""
    if not isinstance(layer, SequenceLayer):
        raise UsageError(f"layers: number {number} is {type(layer).__name__}, wanted a recurrent layer of seriatim.nn")
    if layer.num_layers != 1 or layer.batch_first:
        raise UsageError(f"layers: number {number} has several layers or batch_first, wanted one, time-major")
    if (layer.bidirectional, dict(layer.state_sizes)) != (first.bidirectional, dict(first.state_sizes)):
        raise UsageError(f"layers: number {number} has other directions or states than number 0, wanted the same")
    if is_connected and layer.input_size != layer.output_size:
        raise UsageError(
            f"layers: number {number} takes {layer.input_size} and gives {layer.output_size}, wanted the same for a "
            "connection round it"
        )
