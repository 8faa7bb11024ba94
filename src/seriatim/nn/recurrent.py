"""Base class of the recurrent layers, and the names and shapes of their weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

from seriatim.errors import UsageError
from seriatim.nn import batch_layout, checks
from seriatim.nn.batch_layout import TensorOrPacked
from seriatim.nn.dropout import dropout_in_rows, locked, recurrent_mask
from seriatim.nn.graph_nodes import layer_node
from seriatim.nn.sequence import SequenceLayer, reversed_reset
from seriatim.nn.zoneout import Zoneout, zoneout_masks
from seriatim.notation import PEEPHOLES
from seriatim.ops.recurrence import Implementation, State, Walk, Weights, chosen, eager_stack
from seriatim.spec import CellSpec


class RecurrentLayer(SequenceLayer):
    """Stacked layers of one cell, in one direction or two, with dropout between them.

    Parameters have PyTorch's names, shapes and order: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``,
    ``bias_hh_l0``, ``weight_hr_l0``, ``weight_ih_l0_reverse``, … The parameters of variants come last: ``weight_ch_l0``
    (peephole [3, H], or [2, H] of a coupled LSTM), ``gain_ih_l0``, ``gain_hh_l0``, ``gain_c_l0`` and ``bias_c_l0``
    (layer normalisation).
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
        recurrent_dropout: float,
        zoneout: Zoneout,
        weight_drop: float = 0.0,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        nn.Module.__init__(self)  # the next class may be PyTorch's layer (``torch_layers.py``)
        self.input_size = checks.size("input_size", spec.input_size)
        self.hidden_size = checks.size("hidden_size", spec.hidden_size)
        self.proj_size = spec.proj_size
        self.bias = checks.flag("bias", spec.bias)
        self.peephole = checks.flag("peephole", spec.peephole)
        self.reset_after = checks.flag("reset_after", spec.reset_after)
        self.layer_norm = checks.flag("layer_norm", spec.layer_norm)
        self.clip = spec.clip
        self.num_layers = checks.size("num_layers", num_layers)
        self.batch_first = checks.flag("batch_first", batch_first)
        self.bidirectional = checks.flag("bidirectional", bidirectional)
        self.dropout = checks.probability("dropout", dropout)
        self.locked_dropout = checks.probability("locked_dropout", locked_dropout)
        self.recurrent_dropout = checks.probability("recurrent_dropout", recurrent_dropout)
        self.weight_drop = checks.probability("weight_drop", weight_drop)
        self.zoneout = zoneout
        if self.recurrent_dropout and spec.is_diagonal:
            raise UsageError(f"recurrent_dropout: not for {spec.kind}, whose h enters no product")
        if self.weight_drop and spec.is_diagonal:
            raise UsageError(f"weight_drop: not for {spec.kind}, whose h enters no product")
        if any(zoneout if isinstance(zoneout, tuple) else (zoneout,)) and len(spec.states) > 2:
            raise UsageError(f"zoneout: not for {spec.kind}, whose states mean nothing one by one")
        self._derive(spec)
        for layer, layer_spec in enumerate(self._specs):
            for direction in self._directions:
                for name, shape in weight_shapes(layer_spec).items():
                    values = torch.empty(shape, device=device, dtype=dtype)
                    self.register_parameter(f"{name}_l{layer}{direction}", nn.Parameter(values))
        self.reset_parameters()

    def _derive(self, spec: CellSpec) -> None:
        """Set the attributes that follow from the spec and the options. ``DERIVED`` has their names."""
        self.spec = spec
        self._zoneout_rates = checks.probabilities("zoneout", self.zoneout, spec.states)
        self._directions = ("", "_reverse") if self.bidirectional else ("",)
        self.output_size = len(self._directions) * spec.output_size
        upper_spec = dataclasses.replace(spec, input_size=self.output_size)
        self._specs = (spec, *[upper_spec] * (self.num_layers - 1))
        self._names = [
            weight_names(layer_spec, f"_l{layer}{direction}")
            for layer, layer_spec in enumerate(self._specs)
            for direction in self._directions
        ]
        self._eager = eager_stack(
            self._specs, [tuple(name for name in names if name is not None) for names in self._names]
        )

    def __getstate__(self) -> dict[str, Any]:
        return plain_state(self, DERIVED)

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__setstate__(self, state)  # type: ignore[no-untyped-call]
        self._derive(CellSpec(**self.__dict__.pop("cell")))

    def reset_parameters(self) -> None:
        """Draw every weight from U(-1/√H, 1/√H), in PyTorch's order. The same seed gives the same weights.

        Layer normalisation starts with gain 1 and shift 0.
        """
        draw_uniform(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Do nothing. Programs written for ``torch.nn`` call this method for cuDNN."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names if name is not None] for names in self._names]

    @property
    def state_sizes(self) -> dict[str, int]:
        return {name: self.spec.state_size(name) for name in self.spec.states}

    def run(
        self,
        input: Tensor | PackedSequence,
        hx: object,
        lengths: Tensor | Sequence[int] | None,
        reset: batch_layout.ResetMarks | None,
        reverse: bool,
        return_states: str | None,
    ) -> tuple[Tensor | PackedSequence, State, dict[str, Tensor]]:
        has_options = lengths is not None or reset is not None or return_states is not None or reverse is not False
        if self._eager is not None and not has_options and not self.has_own_masks():
            dropout = self.dropout if self.training else 0.0
            result = self._eager.run(self._parameters, input, hx, self.batch_first, dropout)
            if result is not None:
                return *result, {}
        if isinstance(input, Proxy):
            return layer_node(self, input, hx, lengths, reset, reverse, return_states)
        if not has_options:
            by_pytorch = self.run_by_pytorch(input, hx)
            if by_pytorch is not None:
                return *by_pytorch, {}
        # A replica made by DataParallel has attributes, but no parameters. To read a parametrised weight computes it.
        parameter = next(self.parameters(), None)
        weight = gather(self, self._names[0]).w_ih if parameter is None else parameter
        run_layers = partial(self.run_layers, is_packed=isinstance(input, PackedSequence))
        return self.run_in_layout(weight, input, hx, lengths, reset, reverse, return_states, run_layers)

    def run_by_pytorch(self, input: TensorOrPacked, hx: Any) -> tuple[TensorOrPacked, State] | None:
        """Run by PyTorch's own layer where its exporters need that; None where they do not, and for other cells."""
        return None

    def has_own_masks(self) -> bool:
        """Whether a call applies masks that PyTorch's layers do not have."""
        drops = self.training and (self.locked_dropout or self.recurrent_dropout or self.weight_drop)
        return bool(drops) or any(self._zoneout_rates)

    def run_layers(
        self, x: Tensor, state: State, lengths: Tensor | None, reset: Tensor | None, reverse: bool, all_states: bool,
        *, is_packed: bool = False,
    ) -> tuple[Tensor, State, dict[str, Tensor]]:  # fmt: skip
        """As ``SequenceLayer.run_layers``. If ``is_packed``, dropout draws as many numbers as PyTorch's does."""
        first_states = zip(*(part.unbind(0) for part in state), strict=True)
        names = iter(self._names)
        last_states: list[State] = []
        states: list[dict[str, Tensor]] = []
        row: Implementation | None = None
        for layer, spec in enumerate(self._specs):
            if layer:
                if self.dropout and self.training:
                    x = dropout_in_rows(x, self.dropout, lengths) if is_packed else dropout(x, self.dropout)
                x = locked(x, self.locked_dropout, self.training)
            outputs = []
            for direction in self._directions:
                weights, first = self._weights(next(names)), next(first_states)
                walk = self._walk(first, x.shape[0], lengths, reset, (direction == "_reverse") != reverse)
                if row is None:  # the whole stack runs by one row of the table
                    row = chosen(spec, x, walk, with_states=all_states)
                if all_states and row.run_with_states is not None:
                    output, last, other_states = row.run_with_states(spec, x, first, weights, walk)
                    states.append({"h": output, **other_states})
                else:
                    output, last = row.run(spec, x, first, weights, walk)
                outputs.append(output)
                last_states.append(last)
            x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        final = tuple(torch.stack(parts) for parts in zip(*last_states, strict=True))
        names_of_states = states[0] if states else ()
        return x, final, {name: torch.stack([values[name] for values in states]) for name in names_of_states}

    def _weights(self, names: Sequence[str | None]) -> Weights[Tensor]:
        """The weights of one layer and direction. Weight drop draws a mask on ``weight_hh`` for each call."""
        weights = gather(self, names)
        if not (self.training and self.weight_drop) or weights.w_hh is None:
            return weights
        return dataclasses.replace(weights, w_hh=dropout(weights.w_hh, self.weight_drop))

    def _walk(
        self, state: State, steps: int, lengths: Tensor | None, reset: Tensor | None, reverse: bool
    ) -> Walk[Tensor]:
        """The walk of one layer in one direction, with its own masks."""
        if reset is not None and reverse:
            reset = reversed_reset(reset)
        return Walk(
            lengths,
            reverse,
            reset,
            recurrent_mask(state[0], self.recurrent_dropout, self.training),
            zoneout_masks(state, steps, self._zoneout_rates, self.training),
        )

    @property
    def diagonal(self) -> bool:
        """True if no unit reads the state of another (``seriatim.models.contract.Unitwise``)."""
        return self.spec.is_diagonal

    @property
    def recurrent_states(self) -> tuple[int, ...]:
        """The indices of the states that the next step reads. An LRU reads its complex number, not h."""
        return (1, 2) if self.spec.kind == "lru" else tuple(range(len(self.spec.states)))

    def owners(self) -> dict[str, Tensor]:
        """The unit, layer · H + i, that each weight affects in one step, in the weight's shape.

        Raises ``UsageError`` for a bidirectional stack and for weights that affect several units.
        """
        affect_several = {
            "bidirectional": self.bidirectional, "proj_size": self.proj_size, "layer_norm": self.layer_norm,
            "reset_after=False": not self.reset_after,
        }  # fmt: skip
        if any(affect_several.values()):
            names = ", ".join(name for name, value in affect_several.items() if value)
            raise UsageError(f"learner: snap1 wants weights that each reach one unit of their layer, not {names}")
        units, owners = torch.arange(self.hidden_size), {}
        for layer, layer_names in enumerate(self._names):
            for field, name in zip(FIELDS, layer_names, strict=True):
                if name is not None:
                    shape = self.get_parameter(name).shape
                    by_column = len(shape) == 1 or field in ("weight_ch", "decay")
                    owner = units.repeat(shape[-1 if by_column else 0] // self.hidden_size)
                    owners[name] = (layer * self.hidden_size + (owner if by_column else owner[:, None])).expand(shape)
        return owners

    def extra_repr(self) -> str:
        return describe(self)


def weight_shapes(spec: CellSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of one layer in one direction: PyTorch's in its order, then the variants'."""
    rows, width = len(spec.gates) * spec.hidden_size, spec.output_size
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, spec.input_size)}
    if not spec.is_diagonal:
        shapes |= {"weight_hh": (rows, width)}
    if spec.bias:
        shapes |= {"bias_ih": (rows,)} if spec.is_diagonal else {"bias_ih": (rows,), "bias_hh": (rows,)}
    if spec.proj_size:
        shapes |= {"weight_hr": (spec.proj_size, spec.hidden_size)}
    if spec.peephole:
        shapes |= {"weight_ch": (len(PEEPHOLES[spec.kind]), spec.hidden_size)}
    if spec.layer_norm:
        shapes |= {"gain_ih": (rows,), "gain_hh": (rows,)}
        if spec.kind in PEEPHOLES:  # the LSTM and its coupled variant
            shapes |= {"gain_c": (spec.hidden_size,), "bias_c": (spec.hidden_size,)}
    if spec.kind == "lru":
        shapes |= {"decay": (3, spec.hidden_size), "weight_hy": (spec.hidden_size, 2 * spec.hidden_size)}
    return shapes


def weight_names(spec: CellSpec, suffix: str = "") -> tuple[str | None, ...]:
    """The names of the parameters in the order of the fields of ``Weights``; None for a field that the cell lacks."""
    shapes = weight_shapes(spec)
    return tuple(name + suffix if name in shapes else None for name in FIELDS)


def gather(module: nn.Module, names: Sequence[str | None]) -> Weights[Tensor]:
    """The weights of ``module`` by ``weight_names``. They are read as attributes, so that parametrisations count."""
    return Weights(*[None if name is None else getattr(module, name) for name in names])


def draw_uniform(module: nn.Module, hidden_size: int) -> None:
    """Draw every weight of a layer or a cell from U(-1/√H, 1/√H), in the order in which they were registered.

    Gains start at 1, the shift of c at 0, and an LRU's λ evenly inside the unit circle (``ring_``).
    """
    bound = 1 / math.sqrt(hidden_size)
    for name, parameter in module.named_parameters():
        weight_name = name.removeprefix("parametrizations.")
        if weight_name.startswith("gain"):
            nn.init.ones_(parameter)
        elif weight_name.startswith("bias_c"):
            nn.init.zeros_(parameter)
        elif weight_name.startswith("decay"):
            ring_(parameter)
        else:
            nn.init.uniform_(parameter, -bound, bound)


def ring_(decay: Tensor, smallest: float = 0.0, largest: float = 1.0, widest: float = 2 * math.pi) -> None:
    """Draw an LRU's λ evenly from the ring ``smallest`` ≤ |λ| ≤ ``largest`` with angles from 0 to ``widest``.

    It sets γ = √(1 - |λ|²), so that the state is about as large as its input (Orvieto 2023). ``decay`` is [3, H]. λ
    near 1 remembers for long; long sequences want ``smallest`` and ``largest`` near 1 and a small angle.
    """
    with torch.no_grad():
        draw = torch.rand(2, decay.shape[1], dtype=decay.dtype, device=decay.device).clamp(min=1e-6, max=1 - 1e-6)
        squared = draw[0] * (largest**2 - smallest**2) + smallest**2
        decay[0] = torch.log(-0.5 * torch.log(squared))
        decay[1] = torch.log(widest * draw[1])
        decay[2] = 0.5 * torch.log1p(-squared)


DERIVED = ("spec", "_zoneout_rates", "_directions", "_specs", "_names", "_eager")
"""The attributes that a pickle does not have."""


def plain_state(module: nn.Module, derived: Sequence[str]) -> dict[str, Any]:
    """The state of a layer or cell for a pickle, which then names no class of ours but the module's own.

    ``cell`` has the fields of the spec in place of the ``derived`` attributes.
    """
    state = {name: value for name, value in vars(module).items() if name not in derived}
    return {**state, "cell": dataclasses.asdict(module.spec)}  # type: ignore[call-overload]


FIELDS = (
    "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_ch", "gain_ih", "gain_hh", "gain_c", "bias_c",
    "decay", "weight_hy",
)  # fmt: skip
"""The names of the parameters, in the order of the fields of ``Weights``."""

DEFAULTS = {
    "nonlinearity": "tanh", "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
    "bidirectional": False, "peephole": False, "coupled": False, "reset_after": True, "layer_norm": False, "clip": 0.0,
    "locked_dropout": 0.0, "recurrent_dropout": 0.0, "zoneout": 0.0, "weight_drop": 0.0,
}  # fmt: skip


def describe(module: nn.Module) -> str:
    """The sizes of a layer or a cell, and its options that are not the default."""
    options = {name: getattr(module, name, default) for name, default in DEFAULTS.items()}
    listed = [f"{name}={value}" for name, value in options.items() if value != DEFAULTS[name]]
    return ", ".join([str(module.input_size), str(module.hidden_size), *listed])
