"""Convolutions over time, centred on each step, as nodes ``Conv``."""

from __future__ import annotations

import numpy as np

from seriatim.export.onnx.builder import Array, Arrays, GraphBuilder


def add_convolution(graph: GraphBuilder, x: str, weight: Array, bias: Array) -> str:
    """Convolve x [T, B, I] with filters [O, I, K]; return [T, B, O]. Steps outside of x are zeros."""
    steps = weight.shape[2] - 1
    after = steps // 2
    rows = graph.add("Unsqueeze", graph.add("Transpose", x, perm=[1, 2, 0]), graph.integers(2))  # [B, I, 1, T]
    filters = graph.constant(weight[:, :, None])
    answers = graph.add("Conv", rows, filters, graph.constant(bias), pads=[0, steps - after, 0, after])
    return graph.add("Transpose", graph.add("Squeeze", answers, graph.integers(2)), perm=[2, 0, 1])


def add_branch(graph: GraphBuilder, x: str, lengths: str, arrays: Arrays, count: int) -> str:
    """Add ``count`` convolutions with ReLU on x [T, B, C] and the mean over a row's steps; return it, [B, O].

    The twin of ``runtime/branch.py``.
    """
    inside = graph.inside(lengths, x)
    for number in range(count):
        x = graph.add("Where", inside, x, graph.zero())
        weight, bias = (arrays[f"branch.{number}.{part}"] for part in ("weight", "bias"))
        x = graph.add("Relu", add_convolution(graph, x, weight.transpose(0, 2, 1), bias))
    total = graph.add("ReduceSum", graph.add("Where", inside, x, graph.zero()), graph.integers(0), keepdims=0)
    return graph.add("Div", total, graph.add("Unsqueeze", graph.cast(lengths, np.float32), graph.integers(1)))
