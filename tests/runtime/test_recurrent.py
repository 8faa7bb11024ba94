"""A single step of a layer is the step of the engine, whose weights are packed once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seriatim.kernels import native
from seriatim.kernels.weights import Weights
from seriatim.runtime import recurrent
from seriatim.runtime.recurrent import Direction, weight_shapes
from seriatim.spec import CellSpec

CELLS: dict[str, dict[str, Any]] = {
    "rnn": {"kind": "rnn"},
    "lstm": {"kind": "lstm"},
    "gru": {"kind": "gru"},
    "slstm": {"kind": "slstm"},
    "projection": {"kind": "lstm", "proj_size": 5},
    "layer norm": {"kind": "lstm", "layer_norm": True},
}
needs_engine = pytest.mark.skipif(not native.available(), reason="the engine was not built")


def direction(cell: dict[str, Any], zoneout: tuple[float, ...] = ()) -> Direction:
    spec, generator = CellSpec(input_size=7, hidden_size=9, **cell), np.random.default_rng(0)
    weights = {
        name: generator.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in weight_shapes(spec).items()
    }
    return Direction(spec, Weights(**weights), zoneout, False)


def arrays(spec: CellSpec, rows: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(1)
    state = tuple(generator.uniform(0.1, 0.9, (rows, spec.state_size(name))) for name in spec.states)
    return generator.normal(size=(1, rows, 7)).astype(np.float32), tuple(part.astype(np.float32) for part in state)


@needs_engine
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_single_step_equals_that_of_a_sequence(name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = direction(CELLS[name])
    x, state = arrays(cell.spec, rows)
    output, final = cell.run(x, state, None)
    monkeypatch.setattr(recurrent, "FEW", 0)
    expected_output, expected = cell.run(x, state, None)
    assert np.array_equal(output, expected_output)
    assert all(map(np.array_equal, final, expected))


@needs_engine
def test_which_calls_are_single_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = native.forward
    monkeypatch.setattr(native, "forward", lambda *arguments: calls.append(arguments[1].shape) or forward(*arguments))
    cell = direction(CELLS["lstm"])
    for rows in (1, recurrent.FEW):
        cell.run(*arrays(cell.spec, rows), None)
    assert not calls
    many = arrays(cell.spec, recurrent.FEW + 1)
    cell.run(*many, None)
    x, state = arrays(cell.spec, 2)
    cell.run(np.concatenate([x, x]), state, None)
    cell.run(x, state, np.array([1, 1]))
    direction(CELLS["lstm"], (0.5, 0.5)).run(x, state, None)
    assert len(calls) == 4
