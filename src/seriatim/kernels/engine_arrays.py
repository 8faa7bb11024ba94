"""NumPy arrays and weights in the form that the engine reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.kernels.call_arrays import Masks, address, masks
from seriatim.kernels.cell import Floats, part
from seriatim.kernels.state_layout import to_engine, zoneout_to_engine
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def dense_state(state: Sequence[Floats]) -> list[Floats]:
    """h, and c where there is one, contiguous."""
    return list(map(np.ascontiguousarray, to_engine(np, state)))


def arrays_by_name(x: Floats, state: Sequence[Floats], walk: Walk[NDArray[Any]]) -> dict[str, NDArray[Any] | None]:
    """The arrays that forward and backward read, by the names of ``call_shapes``."""
    of_walk = {"lengths": walk.lengths, "reset": walk.reset, "dropout": walk.dropout}
    return {"x": x, **of_walk, **pair("h", "c", state), **pair("zoneout_h", "zoneout_c", walk.zoneout)}


def pair(first: str, second: str, arrays: Sequence[NDArray[Any] | None]) -> dict[str, NDArray[Any] | None]:
    return dict(zip((first, second), arrays, strict=False))


def addresses(state: Sequence[Floats]) -> tuple[int, int]:
    return address(state[0]), address(state[1]) if len(state) > 1 else 0


def walk_masks(walk: Walk[NDArray[Any]]) -> Masks | None:
    is_plain = walk.lengths is None and walk.reset is None and walk.dropout is None and not walk.zoneout
    return None if is_plain else masks(walk.lengths, walk.reset, walk.dropout, walk.zoneout)


def input_part(
    spec: CellSpec, x: Floats, weights: Weights[Floats], walk: Walk[NDArray[Any]]
) -> tuple[Floats, list[Floats | None], tuple[Any, ...]]:
    """The engine's input, its weights, and the tape of the input part."""
    if not spec.layer_norm:
        return x, dense_weights(weights), ()
    if walk.lengths is not None:  # padding may hold anything, even NaN
        x = np.where(np.arange(len(x))[:, None, None] < walk.lengths[:, None], x, 0).astype(x.dtype)
    u, tape = part(x.reshape(-1, x.shape[-1]), weights.w_ih, weights.b_ih, weights.g_ih)
    return u.reshape(*x.shape[:2], u.shape[-1]), dense_weights(weights.without_input()), tape


def dense_rows(array: Floats) -> Floats:
    """[T, B, ·] with a dense last axis; the engine accepts any other strides."""
    return array if array.strides[-1] == array.itemsize else np.ascontiguousarray(array)


def dense_weights(weights: Weights[Floats]) -> list[Floats | None]:
    return [None if weight is None else np.ascontiguousarray(weight) for weight in weights.fused()]


def dense_walk(walk: Walk[NDArray[Any]]) -> Walk[NDArray[Any]]:
    def dense(array: NDArray[Any] | None, dtype: Any = None) -> Any:
        return None if array is None else np.ascontiguousarray(array, dtype)

    return Walk(
        dense(walk.lengths, np.int64), walk.reverse, dense(walk.reset, np.bool_), dense(walk.dropout),
        tuple(map(dense, zoneout_to_engine(np, walk.zoneout))),
    )  # fmt: skip
