"""The two meanings of a GRU's update gate z: the share of the old state, or of the new value."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch

from seriatim.errors import UsageError
from seriatim.nn.cells import GRUCell
from seriatim.nn.layers import GRU
from seriatim.notation import GATES

Gated = TypeVar("Gated", GRU, GRUCell)


def convert_z(gru: Gated) -> Gated:
    """Copy a GRU or GRUCell with z replaced by 1 - z: W_z and b_z are negated, because σ(-a) = 1 - σ(a).

    If ``gru`` has weights for h_t = (1 - z) ⊙ h + z ⊙ n, where z is the share of the new value, the copy has weights
    for Seriatim's z, the share of the old state. It converts in the other direction in the same way. With layer
    normalisation it negates gains and biases, because all weights are normalised together. Raises ``UsageError`` for
    any other module.
    """
    if not isinstance(gru, (GRU, GRUCell)):
        raise UsageError(f"gru: got {type(gru).__name__}, wanted a GRU or a GRUCell")
    converted = copy.deepcopy(gru)
    prefixes = ("gain_", "bias_") if gru.layer_norm else ("weight_", "bias_")
    with torch.no_grad():
        for name, parameter in converted.named_parameters():
            if name.startswith(prefixes):
                parameter.chunk(len(GATES["gru"]))[GATES["gru"].index("z")].neg_()
    return converted
