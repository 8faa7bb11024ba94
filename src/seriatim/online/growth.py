"""A network in the middle of its learning, given more inputs or outputs.

New weights stand behind the old ones, in the parameter itself, in the optimizer's averages and in what a learner
forward in time carries: there the weights of the reader come last, and what a weight has done so far to the state is
0 while its input was not there. So no learner sees a difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.contract import Carry
from seriatim.online.network import OnlineNetwork


def widen(network: OnlineNetwork, optimizer: torch.optim.Optimizer, carry: Carry, parts: int, count: int) -> Carry:
    """Give ``network`` ``count`` more inputs; return the ``carry``, whose first ``parts`` tensors are the state."""
    reader = network.reader
    total, width = reader.weight.shape[0] + count, reader.weight.shape[1]
    before = reader.weight.numel() + reader.bias.numel()
    reach = before + sum(one.numel() for one in network.body.parameters())
    size = sum(one[:, 0].numel() for one in carry[:parts])
    bound = (3.0 / total) ** 0.5  # a reader of `total` inputs of deviation 1 gives numbers of deviation 1
    _append(reader.weight, torch.empty(count, width).uniform_(-bound, bound), optimizer)
    influences = [
        functional.pad(one, (0, count * width)) if _of_weights(one, size, (reach, before)) else one
        for one in carry[parts:]
    ]
    return (*carry[:parts], *influences)


def answer_more(network: OnlineNetwork, optimizer: torch.optim.Optimizer, count: int) -> None:
    """Give ``network`` ``count`` more outputs."""
    head = network.head
    _append(head.weight, head.weight.new_zeros(count, head.weight.shape[1]), optimizer)
    _append(head.bias, head.bias.new_zeros(count), optimizer)


def _of_weights(one: Tensor, size: int, counts: Sequence[int]) -> bool:
    """Tell whether the last axis of what a learner carries counts weights, the reader's last.

    RTRL's influence [B, S, N], of a diagonal layer [B, S, those of the reader]; UORO's θ̃ [B, N].
    """
    if one.ndim == 3:
        return one.shape[1] == size and one.shape[2] in counts
    return one.shape[-1] == counts[0]


def _append(parameter: nn.Parameter, rows: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Put ``rows`` behind those of ``parameter``, and zeros behind the averages that belong to them."""
    state = optimizer.state.get(parameter, {})
    for name, average in state.items():
        if isinstance(average, Tensor) and average.shape == parameter.shape:
            state[name] = torch.cat([average, torch.zeros_like(rows)])
    parameter.grad = None
    parameter.data = torch.cat([parameter.data, rows])
