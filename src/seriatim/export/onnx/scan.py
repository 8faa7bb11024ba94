"""A layer as a node Scan: the graph inside it is one step of the cell in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seriatim.export.onnx.builder import GraphBuilder
from seriatim.export.onnx.cell_steps import CELLS, Cell, mixed


def add_scan(
    graph: GraphBuilder,
    cell: Cell,
    zoneout: Sequence[float],
    x: str,
    before: Sequence[str],
    *,
    lengths: str = "",
    reverse: bool = False,
) -> tuple[str, list[str]]:
    """Add one direction of a layer on x [T, B, I], from the states ``before`` [B, ·].

    ``zoneout`` is the share of each state that stays at a step; empty for none. Returns the output [T, B, ·], 0 beyond
    the length of a row, and the states after the last step.
    """
    inside = graph.inside(lengths, x) if lengths else ""
    equations = CELLS[cell.spec.kind]
    inputs = equations.inputs(cell, graph, cell.part(graph, x, "ih"))

    def step(body: GraphBuilder, read: list[str], state: list[str]) -> list[str]:
        after = equations.step(cell, body, read[: len(inputs)], state)
        if zoneout:
            shares = [body.constant(rate, np.float32, f"zoneout_{rate}") for rate in zoneout]
            after = [mixed(body, share, old, new) for share, old, new in zip(shares, state, after, strict=True)]
        if inside:  # a row keeps its state where it has no step
            after = [body.add("Where", read[-1], new, old) for new, old in zip(after, state, strict=True)]
        return after

    sequences = dict.fromkeys(inputs, np.float32) | ({inside: np.bool_} if inside else {})
    final, output = graph.scan(step, before, sequences, cell.name, reverse=reverse)
    return graph.add("Where", inside, output, graph.zero()) if inside else output, final
