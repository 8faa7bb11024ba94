"""How the output of a layer over time becomes one vector per row.

Each takes output [T, B, D·P], lengths [B] or None (all T), and how many directions D the layer read in; each returns
[B, D·P]. What stands beyond a row's length does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from seriatim.nn import checks


class Pooling(Protocol):
    """The signature that they share."""

    def __call__(self, output: Tensor, lengths: Tensor | Sequence[int] | None = None, directions: int = 1) -> Tensor:
        """[T, B, D·P] → [B, D·P]."""


def last(output: Tensor, lengths: Tensor | Sequence[int] | None = None, directions: int = 1) -> Tensor:
    """Each direction's output at the last step that it read: a backward one's stands at step 0."""
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
"""By the name of the option ``pool``."""


def _ends(output: Tensor, lengths: Tensor | Sequence[int] | None) -> Tensor:
    """Lengths [B], checked, where the output is."""
    steps, rows = output.shape[:2]
    found = torch.full((rows,), steps) if lengths is None else checks.lengths(lengths, rows, steps)
    return found.to(output.device)


def _beyond(output: Tensor, ends: Tensor) -> Tensor:
    """[T, B, 1]: whether a step lies beyond its row's end."""
    return (torch.arange(len(output), device=output.device)[:, None] >= ends)[:, :, None]
