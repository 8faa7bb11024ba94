"""Random booleans for masks over every unit and step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.ops.eager import is_traced_or_transformed


def bernoulli_mask(rate: float, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Booleans on the device of ``like``, true with probability ``rate`` (to 1/65536).

    The engine expands one PyTorch random number into all flags. This is five times faster than drawing four flags from
    each 64-bit random number in PyTorch, which is done where the engine cannot run.
    """
    threshold = min(max(round(rate * 2**16), 1), 2**16)
    if like.is_cpu and not is_traced_or_transformed((like,)) and native.ready():
        mask = torch.empty(shape, dtype=torch.bool)
        seed = int(torch.empty((), dtype=torch.int64).random_())
        native.engine().draw(seed, threshold, mask.data_ptr(), mask.numel())
        return mask
    count = math.prod(shape)
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    return (bits.view(torch.int16)[:count] <= threshold - 2**15 - 1).view(shape)
