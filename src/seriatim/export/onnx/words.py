"""The vectors of words in a graph: rows of the embedding, and for unknown words the mean of their n-grams' vectors too.

    v(w) = e(w) + 1/|G(w)| · Σ_{g ∈ G(w)} z(g)        (``models/subwords.py``)

The embedding in the graph has the n-grams of the vocabulary's words already, so the sum is for unknown words alone.
Their n-grams are two inputs with a default: no n-grams.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from seriatim.export.onnx.builder import Array, Arrays, GraphBuilder
from seriatim.export.onnx.graphs import Values
from seriatim.notation import UNKNOWN

TABLE: Final = "subwords"
"""The array of the vectors z, [buckets, D]."""
GRAMS: Final = "grams"
COUNTS: Final = "gram_counts"
OPTIONAL_AXES: Final = ("T or 1", "B or 1")
"""The steps and rows of an optional input. They are one step and one row in its default, and so need other names than
T and B: onnxruntime takes axes of one name to be equal."""
MOST_DRAWN: Final = 5


def add_words(graph: GraphBuilder, embedding: Array, arrays: Arrays, words: str) -> str:
    """Add the vectors [T, B, D] of ``words`` [T, B]. With n-grams ``embedding`` [V, D] has those of known words."""
    vectors = graph.add("Gather", graph.constant(embedding, name="embedding"), words)
    if TABLE not in arrays:
        return vectors
    grams = graph.optional_input(GRAMS, np.zeros((1, 1, 1), np.int64), ["G", *OPTIONAL_AXES])
    counts = graph.optional_input(COUNTS, np.zeros((1, 1), np.int64), OPTIONAL_AXES)
    size = graph.add("Gather", graph.add("Shape", grams), graph.constant(0, np.int64, "zero"))
    numbers = graph.add("Range", graph.constant(0, np.int64, "zero"), size, graph.constant(1, np.int64, "unit"))
    inside = graph.add("Less", graph.add("Unsqueeze", numbers, graph.integers(1, 2)), counts)
    of_grams = graph.add("Gather", graph.constant(arrays[TABLE], name=TABLE), grams)
    of_grams = graph.add("Where", graph.add("Unsqueeze", inside, graph.integers(3)), of_grams, graph.zero())
    total = graph.add("ReduceSum", of_grams, graph.integers(0), keepdims=0)
    divisor = graph.cast(graph.add("Max", counts, graph.constant(1, np.int64, "unit")), np.float32)
    mean = graph.add("Div", total, graph.add("Unsqueeze", divisor, graph.integers(2)))
    is_unknown = graph.add("Equal", words, graph.constant(UNKNOWN, np.int64, "unknown"))
    added = graph.add("Where", graph.add("Unsqueeze", is_unknown, graph.integers(2)), mean, graph.zero())
    return graph.add("Add", vectors, added)


def word_vectors(embedding: Array, arrays: Arrays, words: Array, values: Values) -> Array:
    """Return the vectors [T, B, D] that ``add_words`` describes, word by word."""
    vectors = embedding[words]
    if GRAMS in values:
        for step, row in zip(*np.nonzero(words == UNKNOWN), strict=True):
            count = int(values[COUNTS][step, row])
            if count:
                vectors[step, row] += arrays[TABLE][values[GRAMS][:count, step, row]].mean(0)
    return vectors


def draw_words(generator: np.random.Generator, arrays: Arrays, name: str, shape: tuple[int, int]) -> Values:
    """Draw the input ``name`` [T, B]. If a model reads n-grams, half of the words are unknown, and all have n-grams."""
    words = generator.integers(0, len(arrays["embedding"]), shape)
    if TABLE not in arrays:
        return {name: words}
    grams = generator.integers(0, len(arrays[TABLE]), (MOST_DRAWN, *shape))
    counts = generator.integers(0, MOST_DRAWN + 1, shape)
    return {name: np.where(generator.random(shape) < 0.5, UNKNOWN, words), GRAMS: grams, COUNTS: counts}
