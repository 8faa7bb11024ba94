"""Registration of our layers with Dynamo, the front end of ``torch.compile``.

Dynamo refuses instances of PyTorch's RNN, LSTM and GRU, because it would unroll their loops over time. Our subclasses
are one operator, so Dynamo may trace them. PyTorch's own switch, ``torch._dynamo.config.allow_rnn``, allows all layers.
It is set here only while Dynamo looks at one of ours.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from torch import nn

BUILDER = "torch._dynamo.variables.builder"
"""The module that refuses layers. To import it takes a second, so ``register`` waits until PyTorch does."""


def register(layer_type: type[nn.Module]) -> None:
    """Let Dynamo trace instances of ``layer_type``."""
    builder = sys.modules.get(BUILDER)
    if builder is not None:
        _allow(builder, layer_type)
    else:
        sys.meta_path.insert(0, _AfterImport(layer_type))


class _AfterImport(MetaPathFinder):
    """Registers a type when ``BUILDER`` is imported."""

    def __init__(self, layer_type: type[nn.Module]) -> None:
        self._layer_type = layer_type

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != BUILDER:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_allow(module: ModuleType) -> None:
                execute(module)
                _allow(module, self._layer_type)

            spec.loader.exec_module = execute_and_allow  # type: ignore[method-assign]
        return spec


def _allow(builder: Any, layer_type: type[nn.Module]) -> None:
    """Set PyTorch's switch while ``builder`` wraps an instance of ``layer_type``.

    A version of PyTorch without these internals is left as it is: its own switch then decides.
    """
    wrap = getattr(builder.VariableBuilder, "wrap_module", None)
    if wrap is None or not hasattr(builder.config, "allow_rnn"):
        return

    @functools.wraps(wrap)
    def wrap_module(self: Any, value: nn.Module) -> Any:
        if not isinstance(value, layer_type):
            return wrap(self, value)
        with builder.config.patch(allow_rnn=True):
            return wrap(self, value)

    builder.VariableBuilder.wrap_module = wrap_module
