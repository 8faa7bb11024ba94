"""Runs exported models with NumPy, safetensors and the native engine. It never imports PyTorch, Polars or pandas.

    model = seriatim.runtime.load("exported")
    for row in model.predict(["a text", "another"]): ...
    "".join(model.generate("Once upon", length=100, seed=1))
    stream = model.stream()
    answer = stream.step("a")

``docs/runtime_format.md`` describes the folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seriatim.runtime.loading import load as load
    from seriatim.runtime.model import Model as Model
    from seriatim.runtime.model import Stream as Stream

__all__ = ["Model", "Stream", "load"]

_MODULES = {"Model": "model", "Stream": "model", "load": "loading"}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'seriatim.runtime' has no attribute '{name}'")
    value: object = getattr(import_module(f"seriatim.runtime.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
