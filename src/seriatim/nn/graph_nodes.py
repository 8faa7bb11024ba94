"""One node for a whole layer or cell in a graph of ``torch.fx``, as PyTorch's own modules have."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.fx import Proxy


def module_node(module: nn.Module, *args: Any, **kwargs: Any) -> Proxy:
    """A node that calls ``module`` when the graph runs. An argument that is None is left out."""
    tracer = next(value.tracer for value in args if isinstance(value, Proxy))
    target = tracer.path_of_module(module)  # type: ignore[attr-defined]
    arguments = tuple(value for value in args if value is not None)
    return tracer.create_proxy("call_module", target, arguments, kwargs)


def layer_node(
    layer: nn.Module, input: Proxy, hx: Any, lengths: Any, reset: Any, reverse: bool, return_states: str | None
) -> tuple[Any, tuple[Any, ...], Any]:
    """A node for a layer, with the results of ``SequenceLayer.run``."""
    options = {"lengths": lengths, "reset": reset, "reverse": reverse, "return_states": return_states}
    result: Any = module_node(
        layer, input, hx, **{name: value for name, value in options.items() if value is not None and value is not False}
    )
    return result[0], (result[1],), result[2] if return_states is not None else {}
