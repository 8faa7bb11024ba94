"""Base classes of the layers and cells that PyTorch has too: its attributes, methods and graphs, beside our forward.

Programs ask for ``isinstance(module, torch.nn.LSTM)``, ``mode``, ``_flat_weights``, ``all_weights`` and
``check_forward_args``. The public classes are therefore subclasses of PyTorch's.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.nn.batch_layout import TensorOrPacked
from seriatim.nn.dynamo import register
from seriatim.nn.recurrent import DEFAULTS, RecurrentLayer
from seriatim.nn.recurrent_cell import RecurrentCell
from seriatim.nn.replacement import missing_parameters, take_over
from seriatim.ops.eager import is_onnx_export
from seriatim.ops.pytorch import has_layer, has_step
from seriatim.ops.recurrence import State
from seriatim.spec import CellSpec

TORCH_LAYERS: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM, "cifg": nn.LSTM}
TORCH_CELLS: dict[str, type[nn.RNNCellBase]] = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
"""PyTorch's classes by kind."""
OPTIONS = {"num_layers", "bias", "batch_first", "dropout", "bidirectional"}
"""The options that PyTorch's layers have too, apart from ``nonlinearity`` and ``proj_size``."""


class TorchLayer(RecurrentLayer, nn.RNNBase):
    """A ``torch.nn.RNNBase``. Methods that are not defined here or in ``RecurrentLayer`` are PyTorch's.

    Weights are read from the attributes at each call. ``_flat_weights`` is a view of them.
    """

    __setattr__ = nn.Module.__setattr__  # type: ignore[assignment]

    def _derive(self, spec: CellSpec) -> None:
        super()._derive(spec)
        torch_class = TORCH_LAYERS[spec.kind]
        self.mode = f"RNN_{spec.activation.upper()}" if torch_class is nn.RNN else torch_class.__name__
        self._all_weights = [[name for name in names if name is not None] for names in self._names]
        self._flat_weights_names = [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name, None) for name in self._flat_weights_names]

    @_flat_weights.setter
    def _flat_weights(self, weights: Sequence[Tensor | None]) -> None:
        for name, old, new in zip(self._flat_weights_names, self._flat_weights, weights, strict=True):
            if new is not old:
                setattr(self, name, new)

    def _init_flat_weights(self) -> None:
        """Do nothing, since ``_flat_weights`` is always current. PyTorch calls this after ``to``."""

    def _update_flat_weights(self) -> None:
        """Do nothing. PyTorch calls this before it reads ``_flat_weights``."""

    def run_by_pytorch(self, input: TensorOrPacked, hx: Any) -> tuple[Any, State] | None:
        if not (is_onnx_export() and has_layer(self.spec)) or self.has_own_masks():
            return None
        forward: Any = TORCH_LAYERS[self.spec.kind].forward
        output, final = forward(self, input, hx)
        return output, final if isinstance(final, tuple) else (final,)

    def __prepare_scriptable__(self) -> nn.Module:
        """PyTorch's layer with the same weights. ``torch.jit.script`` calls this and compiles what it returns."""
        return torch_module(self)


class TorchCell(RecurrentCell, nn.RNNCellBase):
    """A ``torch.nn.RNNCellBase``. Methods that are not defined here or in ``RecurrentCell`` are PyTorch's."""

    def advance_by_pytorch(self, x: Tensor, hx: Any) -> tuple[Tensor, ...] | None:
        if not (is_onnx_export() and has_step(self.spec)):
            return None
        forward: Any = TORCH_CELLS[self.spec.kind].forward
        state = forward(self, x, hx)
        return state if isinstance(state, tuple) else (state,)

    def __prepare_scriptable__(self) -> nn.Module:
        """As ``TorchLayer.__prepare_scriptable__``."""
        return torch_module(self)


def is_public(module: nn.Module) -> bool:
    """Whether this is exactly one of our layers and cells that PyTorch has too, not a subclass."""
    return not {TorchLayer, TorchCell}.isdisjoint(type(module).__bases__)


def torch_module(module: nn.Module) -> nn.Module:
    """PyTorch's module with the parameters of ``module``. Raises ``UsageError`` with the reason if there is none."""
    reason = reason_to_keep(module) if is_public(module) else f"it is a {type(module).__name__}"
    if reason is not None:
        raise UsageError(f"module: PyTorch has no such layer: {reason}")
    return take_over(module, empty_torch_module(module))


def reason_to_keep(module: nn.Module) -> str | None:
    """The reason why PyTorch's module cannot stand in for ``module``, or None."""
    supported = OPTIONS | ({"proj_size"} if isinstance(module, nn.LSTM) else set())
    values = {name: getattr(module, name, default) for name, default in DEFAULTS.items()}
    extra = [
        f"{name}={value}"
        for name, value in values.items()
        if name not in supported and value != DEFAULTS[name] and (name, value) != ("nonlinearity", "relu")
    ]
    if extra:
        return f"PyTorch has no {', '.join(extra)}"
    return missing_parameters(module, empty_torch_module(module))


def empty_torch_module(old: Any) -> nn.Module:
    """PyTorch's module with the options of ``old``, on no device."""
    kind = old.spec.kind
    options = {name: getattr(old, name) for name in OPTIONS if isinstance(old, TorchLayer) or name == "bias"}
    if kind == "rnn":
        options["nonlinearity"] = old.nonlinearity
    if kind == "lstm" and isinstance(old, TorchLayer):
        options["proj_size"] = old.proj_size
    types: Any = TORCH_LAYERS if isinstance(old, TorchLayer) else TORCH_CELLS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dropout in one layer: the user has been warned
        module: nn.Module = types[kind](old.input_size, old.hidden_size, **options, device="meta")
    return module


register(TorchLayer)
