"""Conversion of layers to cells and back, with the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch

from seriatim.errors import UsageError
from seriatim.layouts.stack_layer import StackLayer
from seriatim.nn.cells import GRUCell, LSTMCell, RNNCell
from seriatim.nn.interchange.stack import ARGUMENTS, Layer, arrays, build, parts_of, refuse
from seriatim.nn.recurrent import FIELDS, gather, weight_names

Cell: TypeAlias = RNNCell | LSTMCell | GRUCell
CELLS: dict[str, type[Cell]] = {"rnn": RNNCell, "lstm": LSTMCell, "cifg": LSTMCell, "gru": GRUCell}
SUPPORTED = ("proj_size", "peephole", "coupled", "reset_after", "layer_norm", "clip")


def from_cells(cells: Sequence[Cell], *, bidirectional: bool = False, batch_first: bool = False) -> Layer:
    """Convert cells of Seriatim to the layer that stacks them, with copies of their weights.

    The cells are in the order of h_n: layer after layer, and with ``bidirectional`` forward and reverse of each layer.
    Raises ``UsageError`` for cells that do not form one stack.
    """
    cells = list(cells)
    for cell in cells:
        if not isinstance(cell, (RNNCell, LSTMCell, GRUCell)):
            raise UsageError(f"cells: got {type(cell).__name__}, wanted RNNCell, LSTMCell or GRUCell of seriatim.nn")
    directions = 2 if bidirectional else 1
    if not cells or len(cells) % directions:
        raise UsageError(f"cells: got {len(cells)}, wanted {directions} for each layer")
    parts: list[StackLayer] = []
    for start in range(0, len(cells), directions):
        group = cells[start : start + directions]
        if group[0].spec != group[-1].spec:
            raise UsageError(f"cells: layer {len(parts) + 1} has {group[0]} and {group[1]}, wanted two alike")
        parts.append(StackLayer(group[0].spec, tuple(arrays(gather(cell, weight_names(cell.spec))) for cell in group)))
    return build(parts, batch_first=batch_first)


def to_cells(layer: Layer, *, inference: bool = False) -> list[Cell]:
    """Convert a layer to a cell for each layer and direction, in the order of h_n, with copies of its weights.

    Raises ``UsageError`` for zoneout and all dropout, which cells do not have. With ``inference`` dropout is left out.
    """
    parts = parts_of(layer)
    refuse(layer, "a cell", SUPPORTED, inference)
    cells: list[Cell] = []
    for part in parts:
        for weights in part.weights:
            named = {name: array for name, array in zip(FIELDS, weights.as_list(), strict=True) if array is not None}
            options = {"bias": part.spec.bias, "layer_norm": part.spec.layer_norm, **ARGUMENTS[part.kind](part.spec)}
            dtype = torch.from_numpy(weights.w_ih).dtype
            cell = CELLS[part.kind](part.spec.input_size, part.spec.hidden_size, dtype=dtype, **options)
            cell.load_state_dict({name: torch.from_numpy(array) for name, array in named.items()})
            cells.append(cell)
    return cells
