"""New inputs and outputs for a network that is already learning.

New weights come after the old ones: in the parameter itself, in the optimizer's averages, and in the influence that a
forward-mode learner carries. There the weights of the reader come last, and the influence of a weight on the state is 0
as long as its input did not exist. So the learner sees no difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.contract import Carry
from seriatim.online.network import OnlineNetwork


def add_inputs(
    network: OnlineNetwork, optimizer: torch.optim.Optimizer, carry: Carry, state_parts: int, count: int
) -> Carry:
    """Add ``count`` inputs to ``network`` and return the new carry. Its first ``state_parts`` tensors are the state."""
    reader = network.reader
    inputs, width = reader.weight.shape[0] + count, reader.weight.shape[1]
    reader_weights = reader.weight.numel() + reader.bias.numel()
    recurrent_weights = reader_weights + sum(parameter.numel() for parameter in network.body.parameters())
    state_size = sum(part[:, 0].numel() for part in carry[:state_parts])
    bound = (3.0 / inputs) ** 0.5  # inputs of deviation 1 give numbers of deviation 1
    _append(reader.weight, torch.empty(count, width).uniform_(-bound, bound), optimizer)
    influence = [
        functional.pad(part, (0, count * width))
        if _covers_weights(part, state_size, (recurrent_weights, reader_weights))
        else part
        for part in carry[state_parts:]
    ]
    return (*carry[:state_parts], *influence)


def add_outputs(network: OnlineNetwork, optimizer: torch.optim.Optimizer, count: int) -> None:
    """Add ``count`` outputs to ``network``."""
    head = network.head
    _append(head.weight, head.weight.new_zeros(count, head.weight.shape[1]), optimizer)
    _append(head.bias, head.bias.new_zeros(count), optimizer)


def _covers_weights(part: Tensor, state_size: int, weight_counts: Sequence[int]) -> bool:
    """Whether the last axis of this part of a carry runs over weights, with the reader's at the end.

    So it does in RTRL's influence [B, S, N], in that of a diagonal layer [B, S, weights of the reader], and in UORO's θ̃
    [B, N].
    """
    if part.ndim == 3:
        return part.shape[1] == state_size and part.shape[2] in weight_counts
    return part.shape[-1] == weight_counts[0]


def _append(parameter: nn.Parameter, rows: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Append ``rows`` to ``parameter``, and zeros to its averages in ``optimizer``."""
    state = optimizer.state.get(parameter, {})
    for name, average in state.items():
        if isinstance(average, Tensor) and average.shape == parameter.shape:
            state[name] = torch.cat([average, torch.zeros_like(rows)])
    parameter.grad = None
    parameter.data = torch.cat([parameter.data, rows])
