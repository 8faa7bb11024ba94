"""The networks of ``classify`` and ``regress`` as graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from seriatim.errors import UsageError
from seriatim.export.onnx.builder import NEGATIVE, Array, GraphBuilder
from seriatim.export.onnx.convolutions import add_branch
from seriatim.export.onnx.graphs import CheckedGraph, Source, Values, carry_of, states_of
from seriatim.export.onnx.recurrent import add_body, check_body
from seriatim.export.onnx.words import add_words, draw_words, word_vectors
from seriatim.notation import QUANTILES
from seriatim.runtime.arithmetic import POOLINGS, affine, softmax
from seriatim.runtime.onnx.model import STATE_IN, STATE_OUT

POOLED, STEPS = "pool_value", "pool_steps"
"""The states of what is pooled over the steps so far, and of their number."""


def sequences(source: Source) -> dict[str, CheckedGraph]:
    """units [T, B] or values [T, B, C] in the data's units → probabilities [B, K], or mean and quantiles [B, 1 + Q]."""
    network, arrays, codec = source.network, source.arrays, source.description["codec"]
    if "body" not in network:
        raise UsageError("onnx: this model has no recurrent layers; export it without --onnx")
    body, pool = network["body"], network["pool"]
    check_body(body)
    bidirectional, branch = body["bidirectional"], network.get("branch")
    with_states = not bidirectional and branch is None
    graph = GraphBuilder(len(body["layers"]))
    reads_text = "embedding" in arrays
    if reads_text:
        units = graph.input("units", np.int64, ["T", "B"])
        x = add_words(graph, source.model.network.embedding, arrays, units)
    else:
        x = _add_values(graph, codec["inputs"])
    lengths = graph.input("lengths", np.int32, ["B"])
    output, _ = add_body(graph, body, arrays, x, lengths=lengths, with_states=with_states)
    model, is_regression = source.model, source.description["task"] == "regress"
    width = model.network.body.output_size
    pooled = _add_pool(graph, pool, output, lengths, width, bidirectional=bidirectional, with_states=with_states)
    if branch is not None:
        pooled = graph.add("Concat", pooled, add_branch(graph, x, lengths, arrays, len(branch["widths"])), axis=-1)
    outputs = graph.affine(pooled, arrays, "head")
    if is_regression:
        _add_quantiles(graph, outputs, codec["target"])
    else:
        graph.output("probabilities", graph.add("Softmax", outputs), np.float32, ["B", len(arrays["head.bias"])])

    def reference(values: Values) -> Values:
        count = values["lengths"].astype(np.int64)
        if reads_text:
            vectors = word_vectors(model.network.embedding, arrays, values["units"], values)
        else:
            vectors = model.network.vectors(model.inputs.scaler.transform(values["values"]))
        states, carry = model.network.body.run(vectors, carry_of(values, graph.layers), count)
        pooled = POOLINGS[pool](states, count, model.network.body.directions)
        result: Values = {}
        if with_states and pool != "last":
            pooled, result = _pooled_further(pool, pooled, count, values)
        if model.network.branch is not None:
            pooled = np.concatenate([pooled, model.network.branch.run(vectors, count)], -1)
        outputs = affine(pooled, *model.network.head)
        if is_regression:
            result["predictions"] = model.in_units(outputs)
        else:
            result["probabilities"] = softmax(outputs)
        return result | (states_of(carry, graph.layers) if with_states else {})

    def draw(generator: np.random.Generator, rows: int, steps: int) -> Values:
        drawn: Values
        if reads_text:
            drawn = draw_words(generator, arrays, "units", (steps, rows))
        else:
            mean, scale = np.array(codec["inputs"]["mean"]), np.array(codec["inputs"]["scale"])
            drawn = {"values": mean + scale * generator.normal(size=(steps, rows, len(mean)))}
        return drawn | {"lengths": np.full(rows, steps, np.int32)}

    return {"model": CheckedGraph(graph, draw, reference)}


def _add_values(graph: GraphBuilder, scaler: Any) -> str:
    """Add the input of numbers in the data's units, float64; return it scaled, float32."""
    values = graph.input("values", np.float64, ["T", "B", len(scaler["mean"])])
    centred = graph.add("Sub", values, graph.constant(scaler["mean"], np.float64))
    return graph.cast(graph.add("Div", centred, graph.constant(scaler["scale"], np.float64)), np.float32)


def _add_pool(
    graph: GraphBuilder, pool: str, output: str, lengths: str, width: int, *, bidirectional: bool, with_states: bool
) -> str:
    """Add the pooling of [T, B, width] over time; return [B, width]. ``with_states`` pools on from call to call."""
    if pool == "last":
        end = graph.add("Sub", lengths, graph.constant([1], np.int32))
        is_last = graph.add("Unsqueeze", graph.add("Equal", graph.steps(output), end), graph.integers(2))
        last = graph.add("ReduceSum", graph.add("Where", is_last, output, graph.zero()), graph.integers(0), keepdims=0)
        if not bidirectional:
            return last
        first = graph.add("Gather", output, graph.constant(0, np.int64, "first"))
        halves = graph.integers(width // 2, width // 2)
        ahead, _ = graph.add_node("Split", [last, halves], 2, axis=-1)
        _, back = graph.add_node("Split", [first, halves], 2, axis=-1)
        return graph.add("Concat", ahead, back, axis=-1)
    inside, count = (
        graph.inside(lengths, output),
        graph.add("Unsqueeze", graph.cast(lengths, np.float32), graph.integers(1)),
    )
    before, past = "", ""
    if with_states:
        before = graph.add("Squeeze", graph.state(STEPS, 1), graph.integers(0))
        past = graph.add("Squeeze", graph.state(POOLED, width), graph.integers(0))
        count = graph.add("Add", count, before)
    if pool == "mean":
        value = graph.add("ReduceSum", graph.add("Where", inside, output, graph.zero()), graph.integers(0), keepdims=0)
        value = graph.add("Add", value, past) if with_states else value
        pooled = graph.add("Div", value, count)
    else:
        lowest = graph.constant(NEGATIVE, name="negative")
        value = graph.add("ReduceMax", graph.add("Where", inside, output, lowest), axes=[0], keepdims=0)
        if with_states:
            has_past = graph.add("Greater", before, graph.zero())
            value = graph.add("Max", value, graph.add("Where", has_past, past, lowest))
        pooled = value
    if with_states:
        for name, after, size in ((STEPS, count, 1), (POOLED, value, width)):
            graph.next_state(name, graph.add("Unsqueeze", after, graph.integers(0)), size)
    return pooled


def _pooled_further(pool: str, pooled: Array, count: Array, values: Values) -> tuple[Array, Values]:
    """Combine what is pooled now with the states; return it and the next states."""
    before, past = values[STATE_IN + STEPS][0], values[STATE_IN + POOLED][0]
    total = before + count[:, None].astype(np.float32)
    if pool == "mean":
        after = past + pooled * count[:, None].astype(np.float32)
        pooled = after / total
    else:
        after = pooled = np.where(before > 0, np.maximum(pooled, past), pooled)
    return pooled, {STATE_OUT + STEPS: total[None], STATE_OUT + POOLED: after[None]}


def _add_quantiles(graph: GraphBuilder, outputs: str, target: Any) -> None:
    """Add mean and rising quantiles in the data's units, float64 [B, 1 + Q], as the output ``predictions``."""
    count = len(QUANTILES)
    mean, middle, gaps = graph.add_node("Split", [outputs, graph.integers(1, 1, count - 1)], 3, axis=-1)
    sums = np.triu(np.ones((count - 1, count)), 1)  # of the gaps below each quantile
    rising = graph.constant(sums - sums.mean(1, keepdims=True), np.float32)
    quantiles = graph.add("Add", middle, graph.add("MatMul", graph.add("Softplus", gaps), rising))
    scaled = graph.cast(graph.add("Concat", mean, quantiles, axis=-1), np.float64)
    scaled = graph.add("Mul", scaled, graph.constant(target["scale"], np.float64))
    result = graph.add("Add", scaled, graph.constant(target["mean"], np.float64))
    graph.output("predictions", result, np.float64, ["B", 1 + count])
