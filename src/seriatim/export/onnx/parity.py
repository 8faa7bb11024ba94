"""Runs graphs in onnxruntime and compares them with the exported model."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from seriatim.errors import MissingExtra, RunError
from seriatim.export.onnx.graphs import CheckedGraph, Values
from seriatim.export.onnx.words import OPTIONAL_AXES
from seriatim.runtime.onnx.model import LENGTHS, STATE_IN, STATE_OUT

TOLERANCE: Final = 1e-5
"""The largest difference from the runtime, relative to values above 1. Both compute in float32, in other orders."""
ROWS, STEPS = (1, 3), (1, 7)
CUT: Final = 3
"""The step before which a sequence is cut in two."""


def check(name: str, graph: CheckedGraph, model: bytes) -> float:
    """Return the largest difference between ``model`` in onnxruntime and the runtime.

    The batch has 1 and 3 rows, of 1 and 7 steps, and the states are not zero. If the graph reads lengths, shorter rows
    are compared too. If there are states, a sequence that is cut in two is compared with the whole one. Raises
    ``RunError`` above ``TOLERANCE``, and ``MissingExtra``.
    """
    session = _session(model)
    difference = 0.0
    generator = np.random.default_rng(0)
    for rows in ROWS:
        for steps in STEPS:
            inputs = graph.draw(generator, rows, steps)
            inputs |= dict(_states(session, generator, rows))
            outputs = _run(session, inputs)
            difference = max(difference, *_differences(name, outputs, graph.reference(inputs)))
            if LENGTHS in inputs and "memory" not in inputs:
                shorter = generator.integers(1, steps + 1, rows, np.int32)
                shorter[0] = steps  # the runtime's arrays end with the longest row
                ragged = inputs | {LENGTHS: shorter}
                difference = max(difference, *_differences(name, _run(session, ragged), graph.reference(ragged)))
            has_states = any(key.startswith(STATE_IN) for key in inputs)
            if graph.has_steps and has_states and steps > CUT:
                difference = max(difference, *_differences(name, outputs, _in_two(session, inputs, steps)))
    if not difference <= TOLERANCE:
        raise RunError(
            f"onnx: {name} in onnxruntime differs by {difference:.1e}, wanted at most {TOLERANCE:g}; nothing written"
        )
    return difference


def _session(model: bytes) -> Any:
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise MissingExtra("checking an ONNX file", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _states(session: Any, generator: np.random.Generator, rows: int) -> Iterator[tuple[str, Any]]:
    """Yield states that are not zero. A number of steps is a whole number above 0, and n of an sLSTM a sum above 0."""
    for part in session.get_inputs():
        if part.name.startswith(STATE_IN):
            shape = [rows if isinstance(size, str) else size for size in part.shape]
            is_count = part.name.endswith("steps")
            lowest = 0.5 if part.name.endswith("_n") else -0.9
            drawn = generator.integers(1, 5, shape) if is_count else generator.uniform(lowest, 0.9, shape)
            yield part.name, drawn.astype(np.float32)


def _run(session: Any, inputs: Mapping[str, Any]) -> Values:
    names = [part.name for part in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _in_two(session: Any, inputs: Values, steps: int) -> Values:
    """Run the steps before ``CUT``, then the others from the states after them; return joint outputs."""
    axes = {part.name: part.shape for part in (*session.get_inputs(), *session.get_overridable_initializers())}
    parts = []
    states = {key: value for key, value in inputs.items() if key.startswith(STATE_IN)}
    for start, stop in ((0, CUT), (CUT, steps)):
        part = {key: _cut(value, axes[key], start, stop) for key, value in inputs.items() if key not in states}
        if LENGTHS in part and "memory" not in part:  # a decoder's lengths are those of its memory
            part[LENGTHS] = np.full_like(part[LENGTHS], stop - start)
        parts.append(_run(session, part | states))
        states = {
            STATE_IN + key.removeprefix(STATE_OUT): value
            for key, value in parts[-1].items() if key.startswith(STATE_OUT)
        }  # fmt: skip
    shapes = {part.name: part.shape for part in session.get_outputs()}
    joined = {}
    for key, last in parts[1].items():
        joined[key] = np.concatenate([parts[0][key], last]) if shapes[key][0] == "T" else last
    return joined


def _cut(value: Any, shape: list[Any], start: int, stop: int) -> Any:
    index = tuple(slice(start, stop) if size in ("T", OPTIONAL_AXES[0]) else slice(None) for size in shape)
    return value[index]


def _differences(name: str, ours: Values, theirs: Values) -> Iterator[float]:
    """Yield the difference of each output. Raises ``RunError`` for other names or shapes."""
    if set(ours) != set(theirs):
        raise RunError(f"onnx: {name} gives {', '.join(sorted(ours))}, the runtime {', '.join(sorted(theirs))}")
    for key, value in theirs.items():
        if value.shape != ours[key].shape:
            raise RunError(f"onnx: {name} gives '{key}' {list(ours[key].shape)}, the runtime {list(value.shape)}")
        wide = np.abs(value.astype(np.float64))
        yield float((np.abs(ours[key] - value) / np.maximum(1.0, wide)).max(initial=0.0))
