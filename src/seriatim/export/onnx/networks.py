"""The networks of ``language`` and ``tag`` as graphs, and the table of all tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from seriatim.errors import UsageError
from seriatim.export.onnx.builder import NEGATIVE, GraphBuilder
from seriatim.export.onnx.convolutions import add_convolution
from seriatim.export.onnx.forecasters import forecaster
from seriatim.export.onnx.graphs import CheckedGraph, Source, Values, carry_of, states_of
from seriatim.export.onnx.recurrent import add_body, check_body
from seriatim.export.onnx.sequences import sequences
from seriatim.export.onnx.words import add_words, draw_words, word_vectors
from seriatim.export.onnx.writing import captioner, translator
from seriatim.runtime.arithmetic import affine, log_softmax, sigmoid


def graphs(source: Source) -> dict[str, CheckedGraph]:
    """Return the graphs of an exported model, by the names of their files.

    Raises ``UsageError`` for a model that has no graph here; the error says what to do.
    """
    if "blend" in source.description:
        if source.description["model"] != "blend":
            raise UsageError(
                "onnx: an ensemble is no single network; export a runtime folder, or train without --ensemble"
            )
        raise UsageError("onnx: a blend is no single network; give --use network")
    if "network" not in source.description:
        raise UsageError(f"onnx: {source.description['model']} is no network; export it without --onnx")
    return GRAPHS[source.description["task"]](source)


def _language(source: Source) -> dict[str, CheckedGraph]:
    """units [T, B] → log_probabilities [T, B, V]."""
    body = source.network["body"]
    check_body(body)
    if source.description["codec"].get("unit") == "roll":
        return _roll(source)
    graph = GraphBuilder(len(body["layers"]))
    embedding = graph.constant(source.arrays["embedding"], name="embedding")
    x = graph.add("Gather", embedding, graph.input("units", np.int64, ["T", "B"]))
    output, _ = add_body(graph, body, source.arrays, x, with_states=True)
    name = "embedding" if source.network["tied"] else "head.weight"
    arrays = {"head.weight": source.arrays[name], "head.bias": source.arrays["head.bias"]}
    units = len(source.arrays["head.bias"])
    chances = graph.add("LogSoftmax", graph.affine(output, arrays, "head"), axis=-1)
    graph.output("log_probabilities", chances, np.float32, ["T", "B", units])
    model = source.model

    def reference(values: Values) -> Values:
        states, carry = model.body.run(model.embedding[values["units"]], carry_of(values, graph.layers))
        scores = log_softmax(affine(states, arrays["head.weight"], arrays["head.bias"]))
        return {"log_probabilities": scores, **states_of(carry, graph.layers)}

    def draw(generator: np.random.Generator, rows: int, steps: int) -> Values:
        return {"units": generator.integers(0, units, (steps, rows))}

    return {"model": CheckedGraph(graph, draw, reference)}


def _roll(source: Source) -> dict[str, CheckedGraph]:
    """notes [T, B, K] → probabilities [T, B, K] of the next step."""
    body = source.network["body"]
    graph, notes = GraphBuilder(len(body["layers"])), len(source.arrays["head.bias"])
    x = graph.input("notes", np.float32, ["T", "B", notes])
    output, _ = add_body(graph, body, source.arrays, x, with_states=True)
    chances = graph.add("Sigmoid", graph.affine(output, source.arrays, "head"))
    graph.output("probabilities", chances, np.float32, ["T", "B", notes])
    model = source.model

    def reference(values: Values) -> Values:
        states, carry = model.body.run(values["notes"], carry_of(values, graph.layers))
        return {"probabilities": sigmoid(affine(states, *model.head)), **states_of(carry, graph.layers)}

    def draw(generator: np.random.Generator, rows: int, steps: int) -> Values:
        return {"notes": (generator.random((steps, rows, notes)) < 0.2).astype(np.float32)}

    return {"model": CheckedGraph(graph, draw, reference)}


def _tagger(source: Source) -> dict[str, CheckedGraph]:
    """words [T, B], characters [L, T, B] → scores [T, B, K]; with a CRF also its transitions, for the best path."""
    network, arrays, model = source.network, source.arrays, source.model
    body = network["body"]
    check_body(body)
    is_causal, tags = not body["bidirectional"], len(arrays["head.bias"])
    graph = GraphBuilder(len(body["layers"]))
    words = graph.input("words", np.int64, ["T", "B"])
    x = add_words(graph, model.embedding, arrays, words)
    if "spelling" in network:
        x = graph.add("Concat", x, _add_spelling(graph, source, words), axis=2)
    lengths = graph.input("lengths", np.int32, ["B"])
    output, _ = add_body(graph, body, arrays, x, lengths=lengths, with_states=is_causal)
    scores = graph.add("Where", graph.inside(lengths, words), graph.affine(output, arrays, "head"), graph.zero())
    graph.output("scores", scores, np.float32, ["T", "B", tags])
    edges = {"start": [tags], "end": [tags], "transitions": [tags, tags]} if network["crf"] else {}
    for name, shape in edges.items():
        graph.output(f"crf_{name}", graph.constant(arrays[f"crf.{name}"], name=f"crf.{name}"), np.float32, shape)

    def reference(values: Values) -> Values:
        vectors = word_vectors(model.embedding, arrays, values["words"], values)
        if model.spelling is not None:
            spelled = np.zeros((*values["words"].shape, model.spelling.output_size), np.float32)
            for step, row in np.ndindex(*values["words"].shape):
                end = values["character_lengths"][step, row]
                spelled[step, row] = model.spelling.run([values["characters"][:end, step, row]])[0]
            vectors = np.concatenate([vectors, spelled], -1)
        steps = values["lengths"].astype(np.int64)
        states, carry = model.body.run(vectors, carry_of(values, graph.layers), steps)
        inside = (np.arange(len(states))[:, None] < steps)[..., None]
        result = {"scores": np.where(inside, affine(states, *model.head), 0)}
        result |= {f"crf_{name}": arrays[f"crf.{name}"] for name in edges}
        return result | (states_of(carry, graph.layers) if is_causal else {})

    def draw(generator: np.random.Generator, rows: int, steps: int) -> Values:
        drawn = draw_words(generator, arrays, "words", (steps, rows))
        if "spelling" in network:
            letters = len(arrays["spelling.embedding"])
            drawn["characters"] = generator.integers(0, letters, (6, steps, rows))
            drawn["character_lengths"] = generator.integers(1, 7, (steps, rows), np.int32)
        return drawn | {"lengths": np.full(rows, steps, np.int32)}

    return {"model": CheckedGraph(graph, draw, reference)}


def _add_spelling(graph: GraphBuilder, source: Source, words: str) -> str:
    """Add the reader of characters; return the vectors [T, B, ·] of the words."""
    part, arrays = source.network["spelling"], source.arrays
    characters = graph.input("characters", np.int64, ["L", "T", "B"])
    counts = graph.input("character_lengths", np.int32, ["T", "B"])
    width, size = part["embedding_size"], part["output_size"]
    lengths = graph.add("Max", graph.add("Reshape", counts, graph.integers(-1)), graph.constant([1], np.int32))
    letters = graph.add("Gather", graph.constant(arrays["spelling.embedding"], name="spelling.embedding"), characters)
    letters = graph.add("Reshape", letters, graph.integers(0, -1, width))
    if part["type"] == "birnn":
        check_body(part["body"])
        _, last = add_body(graph, part["body"], arrays, letters, prefix="spelling", lengths=lengths, with_states=False)
        vectors = graph.add("Transpose", last, perm=[1, 0, 2])
    else:
        inside = graph.inside(lengths, letters)
        letters = graph.add("Where", inside, letters, graph.zero())
        answers = add_convolution(graph, letters, arrays["spelling.filters.weight"], arrays["spelling.filters.bias"])
        masked = graph.add("Where", inside, answers, graph.constant(NEGATIVE, name="negative"))
        vectors = graph.add("Relu", graph.add("ReduceMax", masked, axes=[0], keepdims=0))
    shape = graph.add("Concat", graph.add("Shape", words), graph.integers(size), axis=0)
    return graph.add("Reshape", vectors, shape)


GRAPHS: Mapping[str, Callable[[Source], dict[str, CheckedGraph]]] = {
    "language": _language,
    "classify": sequences,
    "regress": sequences,
    "forecast": forecaster,
    "tag": _tagger,
    "translate": translator,
    "caption": captioner,
}
"""The function that makes the graphs of each task."""
