"""What a walk of tensors brings beside x, cut and turned as x is.

``reset`` [T, B] and ``zoneout`` [T or 1, B or 1, ·] follow both axes, ``dropout`` [B, P or H] follows the rows. An axis
of length 1 stands for all and stays as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Tensor

from seriatim.kernels.walk import Walk


def plain(walk: Walk[Tensor]) -> bool:
    """Whether the walk asks for lengths and reversed time at most."""
    return walk.reset is None and walk.dropout is None and not any(one is not None for one in walk.zoneout)


def padded(walk: Walk[Tensor]) -> Walk[Tensor]:
    """The same masks over whole rows from first to last."""
    return dataclasses.replace(walk, lengths=None, reverse=False)


def over_time(walk: Walk[Tensor], rows: int, change: Callable[[Tensor], Tensor]) -> Walk[Tensor]:
    """Apply ``change`` to what differs from step to step, as [T, B, ·]."""

    def changed(one: Tensor | None) -> Tensor | None:
        return one if one is None or len(one) == 1 else change(one.expand(-1, rows, -1))

    reset = None if walk.reset is None else change(walk.reset.unsqueeze(2)).squeeze(2)
    return dataclasses.replace(walk, reset=reset, zoneout=tuple(map(changed, walk.zoneout)))


def in_order(walk: Walk[Tensor], order: Tensor) -> Walk[Tensor]:
    """Rows in the order of ``order`` [B]."""

    def ordered(one: Tensor | None) -> Tensor | None:
        return one if one is None or one.shape[1] == 1 else one.index_select(1, order)

    return dataclasses.replace(
        walk,
        reset=ordered(walk.reset),
        dropout=None if walk.dropout is None else walk.dropout.index_select(0, order),
        zoneout=tuple(map(ordered, walk.zoneout)),
    )


def block(walk: Walk[Tensor], start: int, steps: int, rows: int) -> Walk[Tensor]:
    """The part for ``steps`` steps from ``start`` on and the first ``rows`` rows."""

    def cut(one: Tensor | None) -> Tensor | None:
        if one is None:
            return None
        one = one if len(one) == 1 else one[start : start + steps]
        return one if one.shape[1] == 1 else one[:, :rows]

    return dataclasses.replace(
        walk,
        reset=None if walk.reset is None else walk.reset[start : start + steps, :rows],
        dropout=None if walk.dropout is None else walk.dropout[:rows],
        zoneout=tuple(map(cut, walk.zoneout)),
    )
