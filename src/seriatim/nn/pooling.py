"""Pooling functions: they turn the output of a layer over time into one vector per row.

Each takes the output [T, B, D·P], the lengths [B] or None (all are T) and the layer's number of directions D, and
returns [B, D·P]. Steps beyond a row's length do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from seriatim.nn import checks


class Pooling(Protocol):
    """The signature of a pooling function."""

    def __call__(self, output: Tensor, lengths: Tensor | Sequence[int] | None = None, directions: int = 1) -> Tensor:
        """[T, B, D·P] → [B, D·P]."""


def last(output: Tensor, lengths: Tensor | Sequence[int] | None = None, directions: int = 1) -> Tensor:
    """The output of each direction at the last step that it read, which is step 0 for the backward direction."""
    ends = _ends(output, lengths)
    rows = torch.arange(output.shape[1], device=output.device)
    if directions == 1:
        return output[ends - 1, rows]
    forward, backward = output.chunk(2, dim=-1)
    return torch.cat([forward[ends - 1, rows], backward[0]], dim=-1)


def mean(output: Tensor, lengths: Tensor | Sequence[int] | None = None, directions: int = 1) -> Tensor:
    """The mean over a row's steps."""
    if lengths is None:
        return output.mean(dim=0)
    ends = _ends(output, lengths)
    return output.masked_fill(_beyond(output, ends), 0).sum(dim=0) / ends[:, None]


def maximum(output: Tensor, lengths: Tensor | Sequence[int] | None = None, directions: int = 1) -> Tensor:
    """The largest value of each channel over a row's steps."""
    if lengths is None:
        return output.amax(dim=0)
    return output.masked_fill(_beyond(output, _ends(output, lengths)), -torch.inf).amax(dim=0)


POOLINGS: dict[str, Pooling] = {"last": last, "mean": mean, "max": maximum}
"""The pooling functions by the value of the option ``pool``."""


def _ends(output: Tensor, lengths: Tensor | Sequence[int] | None) -> Tensor:
    """Check the lengths [B] and move them to the output's device."""
    steps, rows = output.shape[:2]
    ends = torch.full((rows,), steps) if lengths is None else checks.lengths(lengths, rows, steps)
    return ends.to(output.device)


def _beyond(output: Tensor, ends: Tensor) -> Tensor:
    """A mask [T, B, 1], True for steps beyond their row's end."""
    return (torch.arange(len(output), device=output.device)[:, None] >= ends)[:, :, None]
