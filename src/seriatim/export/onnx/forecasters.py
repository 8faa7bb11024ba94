"""The networks of ``forecast`` as graphs."""

from __future__ import annotations

import numpy as np

from seriatim.errors import UsageError
from seriatim.export.onnx.builder import GraphBuilder
from seriatim.export.onnx.graphs import CheckedGraph, Source, Values, carry_of, states_of
from seriatim.export.onnx.recurrent import add_body, check_body
from seriatim.notation import QUANTILES
from seriatim.runtime.arithmetic import affine, softplus
from seriatim.runtime.forecast import SMALLEST_DEVIATION, SMALLEST_SPREAD


def forecaster(source: Source) -> dict[str, CheckedGraph]:
    """A graph for each strategy; its inputs and outputs are in the units of the series' scaler."""
    check_body(source.network["body"])
    if source.network["flat"]:
        raise UsageError("onnx: this model reads a window at once, without recurrent layers; export it without --onnx")
    if "segment" in source.network:
        raise UsageError("onnx: --segment reads the horizon in a second pass, which has no graph; leave out --onnx")
    direct = source.description["settings"]["strategy"] == "direct"
    return {"model": (_direct if direct else _recursive)(source)}


def _direct(source: Source) -> CheckedGraph:
    """history [T, B, C] → quantiles [B, horizon, targets, Q]. A mask of C more channels may follow the values.

    If the head adds to the forecast of a fitted AR, that forecast is one more input: start [B, horizon, targets, Q].
    """
    body, arrays, model, settings = source.network["body"], source.arrays, source.model, source.description["settings"]
    channels, targets, horizon = model.channels, len(model.targets), model.horizon
    graph = GraphBuilder(len(body["layers"]))
    history = graph.input("history", np.float32, ["T", "B", body["input_size"]])
    sizes = graph.integers(channels, body["input_size"] - channels)
    values, *mask = graph.add_node("Split", [history, sizes], 2, axis=2) if body["input_size"] > channels else [history]
    is_normalized = settings["normalize"] == "window"
    mean = deviation = ""
    scaled = values
    if is_normalized:
        mean = graph.add("ReduceMean", values, axes=[0])
        centred = graph.add("Sub", values, mean)
        variance = graph.add("ReduceMean", graph.add("Mul", centred, centred), axes=[0])
        smallest = graph.constant([SMALLEST_DEVIATION], np.float32)
        deviation = graph.add("Max", graph.add("Sqrt", variance), smallest)
        scaled = graph.add("Div", centred, deviation)
    x = graph.add("Concat", scaled, *mask, axis=2) if mask else scaled
    output, _ = add_body(graph, body, arrays, x, with_states=False)
    last = graph.add("Gather", output, graph.constant(-1, np.int64, "last"))
    step = graph.affine(last, arrays, "head")
    step = graph.add("Reshape", step, graph.integers(-1, horizon, targets, len(QUANTILES)))
    shape = ["B", horizon, targets, len(QUANTILES)]
    has_start = "start" in source.network
    start = (
        graph.input("start", np.float32, shape) if has_start else _anchor(graph, scaled, model.season, horizon, targets)
    )
    if is_normalized:
        mean, deviation = (_of_targets(graph, part, targets) for part in (mean, deviation))
        start = graph.add("Div", graph.add("Sub", start, mean), deviation) if has_start else start
    result = graph.add("Add", start, step)
    if is_normalized:
        result = graph.add("Add", graph.add("Mul", result, deviation), mean)
    count = graph.constant([len(QUANTILES)], np.int64)
    rising, _ = graph.add_node("TopK", [result, count], 2, axis=-1, largest=0, sorted=1)
    graph.output("quantiles", rising, np.float32, shape)

    def reference(inputs: Values) -> Values:
        starts = list(inputs["start"]) if has_start else []
        return {"quantiles": model.network_quantiles(inputs["history"], starts, np.random.default_rng(0))}

    def draw(generator: np.random.Generator, rows: int, steps: int) -> Values:
        drawn = generator.normal(size=(steps, rows, body["input_size"])).astype(np.float32)
        drawn[..., channels:] = 1
        if not has_start:
            return {"history": drawn}
        start = generator.normal(size=(rows, horizon, targets, len(QUANTILES))).astype(np.float32)
        return {"history": drawn, "start": start}

    return CheckedGraph(graph, draw, reference, has_steps=False)


def _anchor(graph: GraphBuilder, scaled: str, season: int, horizon: int, targets: int) -> str:
    """The targets one season before each step of the horizon, or one step, if the window is shorter: [B, h, C, 1]."""
    length = graph.add("Gather", graph.add("Shape", scaled), graph.constant([0], np.int64))
    season_length = graph.constant([season], np.int64)
    period = graph.add(
        "Where", graph.add("LessOrEqual", season_length, length), season_length, graph.constant([1], np.int64)
    )
    places = graph.add("Mod", graph.constant(np.arange(horizon), np.int64), period)
    values = graph.add("Gather", scaled, graph.add("Add", graph.add("Sub", places, period), length), axis=0)
    of_targets = graph.add("Slice", values, graph.integers(0), graph.integers(targets), graph.integers(2))
    return graph.add("Unsqueeze", graph.add("Transpose", of_targets, perm=[1, 0, 2]), graph.integers(3))


def _of_targets(graph: GraphBuilder, part: str, targets: int) -> str:
    """[1, B, C] → [B, 1, targets, 1]."""
    part = graph.add("Slice", part, graph.integers(0), graph.integers(targets), graph.integers(2))
    return graph.add("Unsqueeze", graph.add("Transpose", part, perm=[1, 0, 2]), graph.integers(3))


def _recursive(source: Source) -> CheckedGraph:
    """values [T, B, C] → centre and spread [T, B, C] of the next step, in the units of the input."""
    body, arrays, model = source.network["body"], source.arrays, source.model
    channels = model.channels
    graph = GraphBuilder(len(body["layers"]))
    values = graph.input("values", np.float32, ["T", "B", body["input_size"]])
    output, _ = add_body(graph, body, arrays, values, with_states=True)
    halves = graph.integers(channels, channels)
    change, spread = graph.add_node("Split", [graph.affine(output, arrays, "head"), halves], 2, axis=2)
    of_channels = graph.add("Slice", values, graph.integers(0), graph.integers(channels), graph.integers(2))
    graph.output("centre", graph.add("Add", of_channels, change), np.float32, ["T", "B", channels])
    smallest = graph.constant(SMALLEST_SPREAD, np.float32)
    graph.output("spread", graph.add("Add", graph.add("Softplus", spread), smallest), np.float32, ["T", "B", channels])

    def reference(inputs: Values) -> Values:
        states, carry = model.body.run(inputs["values"], carry_of(inputs, graph.layers))
        change, spread = np.split(affine(states, *model.head), 2, -1)
        centre = inputs["values"][..., :channels] + change
        return {"centre": centre, "spread": softplus(spread) + SMALLEST_SPREAD, **states_of(carry, graph.layers)}

    def draw(generator: np.random.Generator, rows: int, steps: int) -> Values:
        return {"values": generator.normal(size=(steps, rows, body["input_size"])).astype(np.float32)}

    return CheckedGraph(graph, draw, reference)
