"""Flags by chance, for masks of every unit and step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.ops.engine import array
from seriatim.ops.native import watched


def drawn(rate: float, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Booleans, true with probability ``rate``, to 1/65536, where ``like`` is.

    The engine makes them of one number of PyTorch's generator, in a fifth of the time that PyTorch takes for four of
    each of its own random numbers of 64 bits.
    """
    below = min(max(round(rate * 2**16), 1), 2**16)
    if like.is_cpu and not watched(like) and native.ready():
        found = torch.empty(shape, dtype=torch.bool)
        native.engine().draw(int(torch.empty((), dtype=torch.int64).random_()), below, array(found))
        return found
    count = math.prod(shape)
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    return (bits.view(torch.int16)[:count] <= below - 2**15 - 1).view(shape)
