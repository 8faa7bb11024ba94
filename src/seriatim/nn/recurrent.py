"""What every recurrent layer is: a stack of scans, with dropout between them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

from seriatim.nn import checks, forms
from seriatim.nn.dropout import locked
from seriatim.ops.recurrence import State, Weights, recurrence
from seriatim.spec import CellSpec


class Recurrent(nn.Module):
    """Stacked layers of one cell, in one direction or two; the part that ``RNN``, ``LSTM`` and ``GRU`` share.

    Parameters have PyTorch's names, shapes and order: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``,
    ``bias_hh_l0``, ``weight_hr_l0``, ``weight_ih_l0_reverse``, …
    """

    def __init__(
        self,
        spec: CellSpec,
        *,
        num_layers: int,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        locked_dropout: float,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.input_size = checks.size("input_size", spec.input_size)
        self.hidden_size = checks.size("hidden_size", spec.hidden_size)
        self.proj_size = spec.proj_size
        self.bias = checks.flag("bias", spec.bias)
        self.num_layers = checks.size("num_layers", num_layers)
        self.batch_first = checks.flag("batch_first", batch_first)
        self.bidirectional = checks.flag("bidirectional", bidirectional)
        self.dropout = checks.probability("dropout", dropout)
        self.locked_dropout = checks.probability("locked_dropout", locked_dropout)
        self._directions = ("", "_reverse") if bidirectional else ("",)

        between = dataclasses.replace(spec, input_size=len(self._directions) * spec.output_size)
        self._specs = (spec, *(between for _ in range(num_layers - 1)))
        for layer, of_layer in enumerate(self._specs):
            for direction in self._directions:
                for name, shape in weight_shapes(of_layer).items():
                    values = torch.empty(shape, device=device, dtype=dtype)
                    self.register_parameter(f"{name}_l{layer}{direction}", nn.Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight from U(-1/√H, 1/√H), in PyTorch's order: the same seed gives the same weights."""
        draw_uniform(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Do nothing: it is here for programs written for ``torch.nn``, which call it for cuDNN's sake."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer and direction."""
        return [
            [self.get_parameter(f"{name}_l{layer}{direction}") for name in weight_shapes(spec)]
            for layer, spec in enumerate(self._specs)
            for direction in self._directions
        ]

    def scan(
        self, given: Tensor | PackedSequence, hx: object, lengths: Tensor | Sequence[int] | None
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run the stack: any form of input and state → output in the same form, final state as a tuple.

        Raises ``UsageError`` for an input, a state or lengths that do not fit.
        """
        form = forms.read(given, lengths, self.input_size, self.batch_first)
        weight = gather(self, "_l0").w_ih
        checks.same_kind("input", form.x, weight)
        output, state = self._stack(form.x, self._first_state(form, hx, weight), form.lengths)
        return form.output(output), form.state_out(state)

    def _first_state(self, form: forms.Form, hx: object, weight: Tensor) -> State:
        names, rows = self.spec.states, form.x.shape[1]
        layers = self.num_layers * len(self._directions)
        shapes = {name: (layers, rows, self.spec.state_size(name)) for name in names}
        state = checks.states(hx, names)
        if state is None:
            return tuple(form.x.new_zeros(shape) for shape in shapes.values())
        state = form.state_in(state)
        for one, (name, shape) in zip(state, shapes.items(), strict=True):
            checks.state(one, name, shape, weight)
        return state

    def _stack(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """x [T, B, I], states [L·D, B, ·] → output [T, B, D·P], states."""
        befores = zip(*(one.unbind(0) for one in state), strict=True)
        afters: list[State] = []
        for layer, spec in enumerate(self._specs):
            if layer:
                x = dropout(x, self.dropout, self.training) if self.dropout else x
                x = locked(x, self.locked_dropout, self.training)
            outputs = []
            for direction in self._directions:
                weights = gather(self, f"_l{layer}{direction}")
                output, after = recurrence(spec, x, next(befores), weights, lengths, direction == "_reverse")
                outputs.append(output)
                afters.append(after)
            x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        return x, tuple(torch.stack(each) for each in zip(*afters, strict=True))

    def extra_repr(self) -> str:
        return described(self)


def weight_shapes(spec: CellSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of one layer in one direction, in PyTorch's order."""
    rows, width = len(spec.gates) * spec.hidden_size, spec.output_size
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, spec.input_size), "weight_hh": (rows, width)}
    if spec.bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if spec.proj_size:
        shapes |= {"weight_hr": (spec.proj_size, spec.hidden_size)}
    return shapes


def gather(module: nn.Module, suffix: str = "") -> Weights[Tensor]:
    """The weights of ``module`` whose names end in ``suffix``. Plain attributes, so that parametrisations are seen."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    return Weights(*(getattr(module, name + suffix, None) for name in names))


def draw_uniform(module: nn.Module, hidden_size: int) -> None:
    """Draw every parameter of a layer or a cell from U(-1/√H, 1/√H), in the order in which they were registered."""
    bound = 1 / math.sqrt(hidden_size)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -bound, bound)


USUAL = {
    "nonlinearity": "tanh", "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
    "bidirectional": False, "locked_dropout": 0.0,
}  # fmt: skip


def described(module: nn.Module) -> str:
    """Sizes of a layer or a cell, and what about it is not ``USUAL``."""
    options = {name: getattr(module, name, usual) for name, usual in USUAL.items()}
    said = [f"{name}={value}" for name, value in options.items() if value != USUAL[name]]
    return ", ".join([str(module.input_size), str(module.hidden_size), *said])
