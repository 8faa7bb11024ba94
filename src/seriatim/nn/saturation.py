"""Saturation: where the derivative of an activation is nearly zero, so that hardly any gradient passes it.

Of tanh the derivative is 1 - h², of σ it is h (1 - h), of relu 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import Tensor

SATURATED: Final = 0.05
"""A derivative below this share of its largest value counts as saturated: |tanh| > 0.975, σ < 0.0127 or > 0.987."""
ACTIVATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "lstm": {"i": "sigmoid", "f": "sigmoid", "g": "tanh", "o": "sigmoid"},
    "gru": {"r": "sigmoid", "z": "sigmoid", "n": "tanh"},
    "mingru": {"z": "sigmoid"},
    "minlstm": {"f": "sigmoid", "i": "sigmoid"},
    "slstm": {"g": "tanh", "o": "sigmoid"},
}
"""The activation of each gate that has one, by the cell's kind. An RNN's is in its spec."""
RETAINING: Final[Mapping[str, str]] = {"gru": "z", "mingru": "z"}
"""The gate that keeps the old state, by the cell's kind; ``f`` for all others. Near 1 it remembers."""


def derivative(values: Tensor, activation: str) -> Tensor:
    """Return φ' over its largest value, from the activations φ themselves: tanh, sigmoid or relu.

    >>> import torch
    >>> derivative(torch.tensor([0.0, 0.5]), "tanh").tolist()
    [1.0, 0.75]
    """
    if activation == "tanh":
        return 1 - values.square()
    if activation == "sigmoid":
        return 4 * values * (1 - values)
    return (values > 0).to(values.dtype)


def saturated(values: Tensor, activation: str) -> Tensor:
    """Return where activations are saturated, as 0 and 1.

    >>> import torch
    >>> saturated(torch.tensor([0.0, 0.99]), "tanh").tolist()
    [0.0, 1.0]
    """
    return (derivative(values, activation) < SATURATED).to(values.dtype)
