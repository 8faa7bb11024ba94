"""The two meanings of a GRU's update gate, z: "how much old" and "how much new"."""

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
    """A copy of a GRU or GRUCell whose z stands for 1 - z: W_z and b_z are negated, as σ(-a) = 1 - σ(a).

    Weights that were made for h_t = (1 - z) ⊙ h + z ⊙ n, z as "how much new", and then loaded into ``gru`` come out
    as weights for the z of here, "how much old"; and the other way about. With layer normalisation the gains and biases
    are negated, as the weights are normalised together. Raises ``UsageError`` for any other module.
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
