"""The convolution over a few steps before a cell, as nodes. The twin of ``runtime/short_convolution.py``."""

from __future__ import annotations

from typing import Final

import numpy as np

from seriatim.export.onnx.builder import Arrays, GraphBuilder

PAST: Final = "x"
"""The name of its state, the last inputs, as in ``nn.Blocks``."""
END: Final = np.iinfo(np.int64).max


def add_short_convolution(
    graph: GraphBuilder, x: str, arrays: Arrays, name: str, past: str, lengths: str
) -> tuple[str, str]:
    """Convolve x [T, B, C] after ``past`` [1, B, (K - 1)·C]; return the output and the last inputs of each row."""
    weights, known = arrays[f"{name}.weight"], len(arrays[f"{name}.weight"]) - 1
    width = weights.shape[1]
    before = graph.add("Reshape", graph.add("Squeeze", past, graph.integers(0)), graph.integers(0, known, width))
    padded = graph.add("Concat", graph.add("Transpose", before, perm=[1, 0, 2]), x, axis=0)
    y = graph.constant(arrays[f"{name}.bias"], name=f"{name}.bias")
    for back, weight in enumerate(weights):
        end = -back if back else END
        read = graph.add("Slice", padded, graph.integers(known - back), graph.integers(end), graph.integers(0))
        y = graph.add("Add", y, graph.add("Mul", read, graph.constant(weight, name=f"{name}.weight.{back}")))
    if lengths:
        places = graph.constant(np.arange(known)[:, None, None], np.int64, f"{name}.places")
        ends = graph.add("Unsqueeze", graph.cast(lengths, np.int64), graph.integers(0, 2))
        indices = graph.add("Add", places, ends)  # [K - 1, B, 1]
        indices = graph.add("Add", indices, graph.constant(np.zeros(width), np.int64, f"{name}.channels"))
        last = graph.add("GatherElements", padded, indices, axis=0)
    else:
        last = graph.add("Slice", padded, graph.integers(-known), graph.integers(END), graph.integers(0))
    after = graph.add("Reshape", graph.add("Transpose", last, perm=[1, 0, 2]), graph.integers(0, -1))
    return y, graph.add("Unsqueeze", after, graph.integers(0))
