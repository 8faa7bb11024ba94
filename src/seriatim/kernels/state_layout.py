"""Conversion of a cell's states to and from the engine's layout.

The engine takes h and one further array c [B, W]. A cell with more states has them side by side in c: for an sLSTM
c, n and m. Cells with one or two states need no conversion. All functions take NumPy arrays or tensors; ``library``
is ``numpy`` or ``torch``.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from seriatim.spec import CellSpec


def to_engine(library: ModuleType, state: Sequence[Any]) -> tuple[Any, ...]:
    """States in the order of ``spec.states`` → h, and c if the cell has more than one state."""
    return tuple(state) if len(state) < 3 else (state[0], library.concatenate(tuple(state[1:]), axis=-1))


def from_engine(spec: CellSpec, state: Sequence[Any]) -> tuple[Any, ...]:
    """The inverse of ``to_engine``. The parts of c are views."""
    return tuple(state) if len(state) == len(spec.states) else (state[0], *split_states(spec, state[1]))


def split_states(spec: CellSpec, c: Any) -> tuple[Any, ...]:
    """All states but h, as views of c, which may have any leading axes."""
    count = len(spec.states) - 1
    width = c.shape[-1] // count
    return tuple([c[..., index * width : (index + 1) * width] for index in range(count)])


def zoneout_to_engine(library: ModuleType, zoneout: Sequence[Any]) -> tuple[Any, ...]:
    """Zoneout masks [T or 1, B or 1, ·] or None, in the order of ``spec.states`` → the masks of h and c."""
    if len(zoneout) < 3:
        return tuple(zoneout)
    h_mask, *others = zoneout
    present = [mask for mask in others if mask is not None]
    if not present:
        return h_mask, None
    shape = library.broadcast_shapes(*[mask.shape for mask in present])
    zeros = library.zeros_like(present[0])
    masks = [library.broadcast_to(zeros if mask is None else mask, shape) for mask in others]
    return h_mask, library.concatenate(tuple(masks), axis=-1)


def zoneout_from_engine(spec: CellSpec, zoneout: Sequence[Any]) -> tuple[Any, ...]:
    """The inverse of ``zoneout_to_engine``."""
    if len(zoneout) in (0, len(spec.states)):
        return tuple(zoneout)
    h_mask, c_mask = zoneout
    return h_mask, *((None,) * (len(spec.states) - 1) if c_mask is None else split_states(spec, c_mask))
