"""The share of saturated units in the recurrent layers of a body."""

from __future__ import annotations

import torch
from torch import Tensor

from seriatim.models.body import Body
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.saturation import ACTIVATIONS, RETAINING, saturated


@torch.no_grad()
def saturated_shares(body: Body, inputs: Tensor) -> dict[str, float]:
    """Run the recurrent layers of ``body`` over ``inputs`` [T, B, C]; return the shares by a weight of each layer.

    A share is over all steps, rows and units, of the activation that is saturated most. The gate that keeps the old
    state does not count. Empty for bodies and cells without such activations.
    """
    path, layer = next(
        ((path, part) for path, part in body.named_modules() if isinstance(part, RecurrentLayer)), ("", None)
    )
    if layer is None or layer.input_size != inputs.shape[2]:
        return {}
    kind = layer.spec.kind
    activations = {gate: name for gate, name in ACTIVATIONS.get(kind, {}).items() if gate != RETAINING.get(kind, "f")}
    if kind == "rnn" and layer.spec.activation == "tanh":
        activations["h"] = "tanh"
    if not activations:
        return {}
    states = layer(inputs.to(next(layer.parameters()).dtype), return_states="all")[2]
    shares = torch.stack([saturated(states[gate], name).mean((1, 2, 3)) for gate, name in activations.items()])
    return {f"{path}.weight_hh_l{number}": share for number, share in enumerate(shares.max(0).values.tolist())}
