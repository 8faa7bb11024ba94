"""Signals of each layer at a validation: gradient norm, size of an update, share of saturated units.

All of them come from the last update and from one slice of the validation data, so an update costs nothing more, and
a resumed training has the same rows. Keys are ``gradient_norm/NAME``, ``update_ratio/NAME``, ``saturated/NAME``, with
the name of a layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from seriatim.models.body import Body
from seriatim.models.saturation import saturated_shares

ROWS, STEPS = 8, 64
"""The slice of the first validation batch on which saturation is measured."""
FEWEST_STEPS = 4


def layer_name(parameter: str) -> str:
    """Return the layer that a parameter belongs to: its module, or the numbered layer within a stack.

    >>> [layer_name(name) for name in ("stack.layers.weight_hh_l1", "layers.0.norm1.bias", "output.weight")]
    ['stack.layers.1', 'layers.0', 'output']
    """
    parts = parameter.split(".")
    number = next((place for place, part in enumerate(parts) if part.isdigit()), None)
    if number is not None:
        return ".".join(parts[: number + 1])
    inside = re.search(r"_l(\d+)(_reverse)?$", parts[-1])
    return ".".join([*parts[:-1], inside[1]] if inside else parts[:-1] or parts)


@final
class Signals:
    """The signals of one training."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._layers: dict[str, list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                self._layers.setdefault(layer_name(name), []).append(parameter)
        self._bodies = {name: module for name, module in model.named_modules() if isinstance(module, Body)}
        self._inputs: dict[str, Tensor] = {}
        self._hooks: dict[str, RemovableHandle] = {}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within this block, a slice of the first inputs of each recurrent body is kept, to measure saturation on."""
        self._inputs = {}
        hooks = {name: body.register_forward_pre_hook(self._keeper(name)) for name, body in self._bodies.items()}
        self._hooks = hooks
        try:
            yield
        finally:
            for hook in hooks.values():
                hook.remove()

    def _keeper(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        """A hook that keeps a slice of the first inputs of enough steps, and removes itself."""

        def keep(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            inputs: Tensor = arguments[0]
            if len(inputs) >= FEWEST_STEPS:
                self._inputs[name] = inputs[:STEPS, :ROWS].detach()
                self._hooks[name].remove()

        return keep

    @torch.no_grad()
    def row(self, gradient_norm: float) -> dict[str, float]:
        """Return the signals, right after an update whose gradient had ``gradient_norm`` before it was clipped."""
        return {**self._gradients(gradient_norm), **self._updates(), **self._saturation()}

    def _gradients(self, gradient_norm: float) -> dict[str, float]:
        norms = {
            name: _norm([parameter.grad for parameter in parameters if parameter.grad is not None])
            for name, parameters in self._layers.items()
        }
        whole = sum(norm * norm for norm in norms.values()) ** 0.5
        scale = gradient_norm / whole if whole > 0 else 1.0
        return {f"gradient_norm/{name}": norm * scale for name, norm in norms.items()}

    def _updates(self) -> dict[str, float]:
        settings = {id(parameter): group for group in self._optimizer.param_groups for parameter in group["params"]}
        ratios = {}
        for name, parameters in self._layers.items():
            updates = [_update(self._optimizer, settings[id(parameter)], parameter) for parameter in parameters]
            ratios[f"update_ratio/{name}"] = _norm(updates) / max(_norm(list(parameters)), 1e-12)
        return ratios

    def _saturation(self) -> dict[str, float]:
        shares = {
            f"saturated/{layer_name(f'{name}.{parameter}')}": share
            for name, inputs in self._inputs.items()
            for parameter, share in saturated_shares(self._bodies[name], inputs).items()
        }
        self._inputs = {}
        return shares


def _update(optimizer: torch.optim.Optimizer, group: dict[str, Any], parameter: nn.Parameter) -> Tensor:
    """The change of a parameter in the last update, from the state that the optimizer keeps (Kingma & Ba 2015)."""
    state = optimizer.state.get(parameter, {})
    rate = group["lr"]
    if parameter.grad is None:
        return torch.zeros_like(parameter)
    if "exp_avg" not in state:
        change: Tensor = rate * parameter.grad
        decay = rate * group["weight_decay"]
    else:
        first, second = (1 - beta ** float(state["step"]) for beta in group["betas"])
        denominator = (state["exp_avg_sq"] / second).sqrt_().add_(group["eps"])
        change = (state["exp_avg"] / denominator).mul_(rate / first)
        decay = rate * group["weight_decay"] if isinstance(optimizer, torch.optim.AdamW) else 0.0
    return change.add_(parameter, alpha=decay) if decay else change


def _norm(tensors: list[Any]) -> float:
    """The norm of all numbers together."""
    if not tensors:
        return 0.0
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors))))  # as clip_grad_norm_ does
