"""The encoders and the decoder of ``translate`` and ``caption``, each a graph of its own.

The encoder's outputs are inputs of the decoder: ``memory``, ``keys`` (what attention compares with), ``context`` (which
a peeky decoder reads at every step), and the first states.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from seriatim.errors import UsageError
from seriatim.export.onnx.builder import NEGATIVE, Array, GraphBuilder
from seriatim.export.onnx.graphs import CheckedGraph, Source, Values, states_of
from seriatim.export.onnx.recurrent import add_body, add_connection, check_body, state_widths
from seriatim.runtime.decoder import Memory, RecurrentState
from seriatim.runtime.onnx.model import STATE_IN, STATE_OUT


def translator(source: Source) -> dict[str, CheckedGraph]:
    """encoder: units [S, B] → memory, 0 beyond each row; decoder: units [T, B] → log_probabilities [T, B, V + 1]."""
    check_body(source.network["body"])
    _check_decoder(source)
    body, arrays, model = source.network["body"], source.arrays, source.model
    graph = GraphBuilder(len(source.network["decoder"]["layers"]))
    units = graph.input("units", np.int64, ["S", "B"])
    lengths = graph.input("lengths", np.int32, ["B"])
    x = graph.add("Gather", graph.constant(arrays["embedding"], name="embedding"), units)
    memory, _ = add_body(graph, body, arrays, x, lengths=lengths, with_states=False)
    memory = graph.add("Where", graph.inside(lengths, memory), memory, graph.zero())
    end = graph.add("Sub", lengths, graph.constant([1], np.int32))
    is_last = graph.add("Unsqueeze", graph.add("Equal", graph.steps(memory), end), graph.integers(2))
    context = graph.add("ReduceSum", graph.add("Where", is_last, memory, graph.zero()), graph.integers(0), keepdims=0)
    if body["bidirectional"]:
        half = source.network["decoder"]["context_size"] // 2
        first = graph.add("Gather", memory, graph.constant(0, np.int64, "first"))
        ahead, _ = graph.add_node("Split", [context, graph.integers(half, half)], 2, axis=-1)
        _, back = graph.add_node("Split", [first, graph.integers(half, half)], 2, axis=-1)
        context = graph.add("Concat", ahead, back, axis=-1)
    _add_start(graph, source, memory, context)

    def reference(values: Values) -> Values:
        rows = [values["units"][:end, row] for row, end in enumerate(values["lengths"])]
        read = model.memory(rows)
        inside = (np.arange(len(read.states))[:, None] < values["lengths"])[:, :, None]
        return _start(source, replace(read, states=np.where(inside, read.states, np.float32(0))), graph.layers)

    def draw(generator: np.random.Generator, rows: int, steps: int) -> Values:
        drawn = generator.integers(0, len(arrays["embedding"]), (steps, rows))
        return {"units": drawn, "lengths": np.full(rows, steps, np.int32)}

    encoder = CheckedGraph(graph, draw, reference, has_steps=False)
    return {"encoder": encoder, "decoder": _decoder(source)}


def captioner(source: Source) -> dict[str, CheckedGraph]:
    """encoder: pixels [B, H, W, C] or features [S, B, C] → memory; decoder as of ``translator``."""
    _check_decoder(source)
    network, arrays, model, codec = source.network, source.arrays, source.model, source.description["codec"]
    graph = GraphBuilder(len(network["decoder"]["layers"]))
    scaler, side = codec["scaler"], codec.get("side", 0)
    channels = len(scaler["mean"])
    shape: list[int | str] = ["B", side, side, channels] if side else ["S", "B", channels]
    x = graph.input("pixels" if side else "features", np.float32, shape)
    x = graph.add("Sub", x, graph.constant(scaler["mean"], np.float32))
    x = graph.add("Div", x, graph.constant(scaler["scale"], np.float32))
    inside = lengths = ""
    if side:
        regions = _add_convolutions(graph, source, x, side)
    else:
        lengths = graph.input("lengths", np.int32, ["B"])
        inside = graph.inside(lengths, x)
        x = graph.add("Where", inside, x, graph.zero())
        regions = graph.add("Relu", graph.affine(x, arrays, "pictures"))
    memory = graph.add("Relu", graph.affine(regions, arrays, "region"))
    if side:
        mean = graph.add("ReduceMean", memory, axes=[0], keepdims=0)
    else:
        total = graph.add("ReduceSum", graph.add("Where", inside, memory, graph.zero()), graph.integers(0), keepdims=0)
        mean = graph.add("Div", total, graph.add("Unsqueeze", graph.cast(lengths, np.float32), graph.integers(1)))
    context = graph.add("Tanh", _batch_norm(graph, source, graph.affine(mean, arrays, "context"), "context.norm"))
    _add_start(graph, source, memory, context)

    def reference(values: Values) -> Values:
        if side:
            return _start(source, model.memory(list(values["pixels"])), graph.layers)
        rows = [values["features"][:end, row] for row, end in enumerate(values["lengths"])]
        return _start(source, model.memory(rows), graph.layers)

    def draw(generator: np.random.Generator, rows: int, steps: int) -> Values:
        if side:
            return {"pixels": generator.integers(0, 256, (rows, side, side, channels)).astype(np.float32)}
        drawn = generator.normal(size=(steps, rows, channels)).astype(np.float32)
        return {"features": drawn, "lengths": np.full(rows, steps, np.int32)}

    encoder = CheckedGraph(graph, draw, reference, has_steps=False)
    return {"encoder": encoder, "decoder": _decoder(source)}


def _check_decoder(source: Source) -> None:
    decoder = source.network["decoder"]
    if decoder["type"] != "recurrent":
        raise UsageError(f"onnx: a {decoder['type']} has no recurrent layers; export it without --onnx")
    for layer in decoder["layers"]:
        check_body(layer)


def _add_convolutions(graph: GraphBuilder, source: Source, x: str, side: int) -> str:
    """Scaled pixels [B, H, W, C] → regions [S, B, M]."""
    line = np.linspace(-1.0, 1.0, side, dtype=np.float32) if side > 1 else np.zeros(1, np.float32)
    coordinates = graph.constant(np.stack(np.meshgrid(line, line, indexing="ij"))[None])
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    rows = graph.add("Slice", graph.add("Shape", x), graph.integers(0), graph.integers(1))
    shape = graph.add("Concat", rows, graph.integers(2, side, side), axis=0)
    x = graph.add("Concat", x, graph.add("Expand", coordinates, shape), axis=1)
    pictures = source.network["pictures"]
    for number, stride in enumerate(pictures["strides"]):

        def layer(x: str, part: str, norm: str, stride: int, name: str = f"pictures.{number}") -> str:
            weight = graph.constant(source.arrays[f"{name}.{part}.weight"])
            answer = graph.add("Conv", x, weight, pads=[1, 1, 1, 1], strides=[stride, stride], kernel_shape=[3, 3])
            return _batch_norm(graph, source, answer, f"{name}.{norm}")

        hidden = graph.add("Relu", layer(x, "enter", "first", stride))
        x = graph.add("Relu", graph.add("Add", hidden, layer(hidden, "stay", "second", 1)))
    flat = graph.add("Reshape", x, graph.integers(0, pictures["widths"][-1], -1))
    return graph.add("Transpose", flat, perm=[2, 0, 1])


def _batch_norm(graph: GraphBuilder, source: Source, x: str, name: str) -> str:
    parts = [graph.constant(source.arrays[f"{name}.{part}"]) for part in ("weight", "bias", "mean", "variance")]
    return graph.add("BatchNormalization", x, *parts, epsilon=1e-5)


def _sizes(source: Source) -> dict[str, int]:
    """The widths of the encoder's outputs that the decoder reads."""
    decoder = source.network["decoder"]
    sizes = {}
    if decoder["attention"] != "none":
        sizes["memory"] = decoder["memory_size"]
    if decoder["attention"] in ("general", "concat", "additive"):
        sizes["keys"] = len(source.arrays["decoder.combine.weight"])
    if decoder["peeky"]:
        sizes["context"] = decoder["context_size"]
    return sizes


def _add_start(graph: GraphBuilder, source: Source, memory: str, context: str) -> None:
    """Add the outputs of an encoder: all that its decoder reads."""
    decoder, arrays, sizes = source.network["decoder"], source.arrays, _sizes(source)
    values = {"memory": memory, "context": context}
    if "keys" in sizes:
        name = "weight" if decoder["attention"] == "general" else "of_memory"
        bias = {"a.bias": arrays["decoder.attention.bias"]} if decoder["attention"] == "additive" else {}
        values["keys"] = graph.affine(memory, {"a.weight": arrays[f"decoder.attention.{name}"], **bias}, "a")
    for name, size in sizes.items():
        graph.output(name, values[name], np.float32, ["B", size] if name == "context" else ["S", "B", size])
    layer = decoder["layers"][0]
    widths, layers, starts = state_widths(layer, layer["layers"][0]), len(decoder["layers"]), decoder["started"]
    parts: list[str] = []
    if decoder["bridge"]:
        sizes_of_parts = [width for state, width in widths.items() if state in starts] * layers
        bridged = graph.affine(context, arrays, "decoder.bridge")
        parts = graph.add_node("Split", [bridged, graph.integers(*sizes_of_parts)], len(sizes_of_parts), axis=-1)
    for _ in range(layers):
        for (state, width), label in zip(widths.items(), graph.state_names(list(widths)), strict=True):
            if decoder["bridge"] and state in starts:
                value = parts.pop(0)
                value = graph.add("Tanh", value) if state == "h" else value
            elif state == "h" and not decoder["bridge"]:
                value = context
            else:
                value = graph.zeros(memory, width)
            graph.next_state(label, graph.add("Unsqueeze", value, graph.integers(0)), width)


def _start(source: Source, memory: Memory, layers: list[list[str]]) -> Values:
    """The same by the runtime."""
    state = source.model.decoder.begin(memory)
    values = {"memory": memory.states, "keys": state.keys, "context": memory.context}
    result: Values = {name: values[name] for name in _sizes(source)}
    for carry, names in zip(state.layers, layers, strict=True):
        result |= states_of(carry, [names])
    return result


def _decoder(source: Source) -> CheckedGraph:
    part, arrays, sizes = source.network["decoder"], source.arrays, _sizes(source)
    graph = GraphBuilder(len(part["layers"]))
    units = graph.input("units", np.int64, ["T", "B"])
    inputs = {
        name: graph.input(name, np.float32, ["B", size] if name == "context" else ["S", "B", size])
        for name, size in sizes.items()
    }
    x = graph.add("Gather", graph.constant(arrays["decoder.embedding"], name="decoder.embedding"), units)
    peek = ""
    if "context" in inputs:
        steps = graph.add("Shape", units)
        shape = graph.add("Concat", steps, graph.integers(sizes["context"]), axis=0)
        peek = graph.add("Expand", inputs["context"], shape)
    for number, layer in enumerate(part["layers"]):
        name = f"decoder.{number}"
        read = graph.add("Concat", x, peek, axis=2) if peek else x
        output, _ = add_body(graph, layer, arrays, read, prefix=name, with_states=True)
        x = add_connection(graph, part["connection"], number, arrays, x, output, name)
    if "memory" in inputs:
        x = _add_attention(graph, source, x, inputs)
    x = graph.add("Concat", x, peek, axis=2) if peek else x
    if "decoder.project.weight" in arrays:
        x = graph.affine(x, arrays, "decoder.project")
    head = arrays["decoder.embedding" if part["tied"] else "head.weight"]
    scores = graph.affine(x, {"head.weight": head, "head.bias": arrays["head.bias"]}, "head")
    chances = graph.add("LogSoftmax", scores, axis=-1)
    graph.output("log_probabilities", chances, np.float32, ["T", "B", len(head)])
    memory_steps = 5

    def draw(generator: np.random.Generator, rows: int, steps: int) -> Values:
        drawn: Values = {"units": generator.integers(0, len(head), (steps, rows))}
        for name, size in sizes.items():
            shape = (rows, size) if name == "context" else (memory_steps, rows, size)
            drawn[name] = generator.normal(size=shape).astype(np.float32)
        if "memory" in sizes:
            drawn["lengths"] = generator.integers(1, memory_steps + 1, rows, np.int32)
        return drawn

    def reference(values: Values) -> Values:
        return _decoded(source, values, graph.layers)

    return CheckedGraph(graph, draw, reference)


def _add_attention(graph: GraphBuilder, source: Source, x: str, inputs: dict[str, str]) -> str:
    """Add the attention of x [T, B, H] over the memory, and the output ``attention`` [T, B, S]."""
    part, arrays = source.network["decoder"], source.arrays
    keys = inputs.get("keys", inputs["memory"])
    lengths = graph.input("lengths", np.int32, ["B"])
    if part["attention"] in ("dot", "general"):
        queries = graph.add("Transpose", x, perm=[1, 0, 2])
        scores = graph.add("MatMul", queries, graph.add("Transpose", keys, perm=[1, 2, 0]))  # [B, T, S]
    else:
        query = graph.affine(x, {"q.weight": arrays["decoder.attention.of_query"]}, "q")
        joint = graph.add("Add", graph.add("Unsqueeze", query, graph.integers(1)), keys)  # [T, S, B, H]
        score = {"s.weight": arrays["decoder.attention.score"]}
        scores = graph.add("Squeeze", graph.affine(graph.add("Tanh", joint), score, "s"), graph.integers(3))
        scores = graph.add("Transpose", scores, perm=[2, 0, 1])
    inside = graph.add("Transpose", graph.inside(lengths, inputs["memory"]), perm=[1, 2, 0])  # [B, 1, S]
    scores = graph.add("Where", inside, scores, graph.constant(NEGATIVE, name="negative"))
    weights = graph.add("Softmax", scores, axis=-1)
    attended = graph.add("MatMul", weights, graph.add("Transpose", inputs["memory"], perm=[1, 0, 2]))
    attended = graph.add("Transpose", attended, perm=[1, 0, 2])
    graph.output("attention", graph.add("Transpose", weights, perm=[1, 0, 2]), np.float32, ["T", "B", "S"])
    joined = graph.add("Concat", attended, x, axis=2)
    return graph.add("Tanh", graph.affine(joined, arrays, "decoder.combine"))


def _decoded(source: Source, values: Values, layers: list[list[str]]) -> Values:
    """The decoder's results by the runtime, step by step."""
    decoder: Any = source.model.decoder
    rows = values["units"].shape[1]
    nothing = np.zeros((1, rows, 1), np.float32)
    lengths = values.get("lengths", np.ones(rows)).astype(np.int64)
    memory = Memory(values.get("context", nothing[0]), values.get("memory", nothing), lengths)
    carries = tuple(tuple(values[STATE_IN + name] for name in names) for names in layers)
    state: Any = RecurrentState(memory, values.get("keys", values.get("memory")), carries)
    chances: list[Array] = []
    alignments: list[Array] = []
    for tokens in values["units"]:
        scores, state, alignment = decoder.step(tokens, state)
        chances.append(scores)
        alignments.append(alignment)
    result: Values = {"log_probabilities": np.stack(chances)}
    if "memory" in values:
        result["attention"] = np.stack(alignments)
    for carry, names in zip(state.layers, layers, strict=True):
        result |= {STATE_OUT + name: value for name, value in zip(names, carry, strict=True)}
    return result
