"""A graph together with what its results are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.export.onnx.builder import Arrays, GraphBuilder
from seriatim.runtime.body import Carry
from seriatim.runtime.onnx.model import STATE_IN, STATE_OUT

Array = NDArray[Any]
Values = dict[str, Array]


@dataclass(frozen=True)
class Source:
    """An exported model: its description (``docs/runtime_format.md``), its weights, and the model that runs them."""

    description: Mapping[str, Any]
    arrays: Arrays
    model: Any

    @property
    def network(self) -> Mapping[str, Any]:
        network: Mapping[str, Any] = self.description["network"]
        return network


@dataclass(frozen=True)
class CheckedGraph:
    """A graph, and the same computation by the runtime."""

    builder: GraphBuilder
    draw: Callable[[np.random.Generator, int, int], Values]
    """(generator, rows, steps) → inputs, without states."""
    reference: Callable[[Values], Values]
    """Inputs with states → outputs with states."""
    has_steps: bool = True
    """Whether the graph has the axis of steps, so that a sequence can be cut in two."""


def carry_of(values: Mapping[str, Array], layers: list[list[str]]) -> Carry:
    """The carry of a body from the states ``layers`` of the inputs; empty if the graph has none."""
    return tuple(np.concatenate([values[STATE_IN + name] for name in names]) for names in zip(*layers, strict=True))


def states_of(carry: Carry, layers: list[list[str]]) -> Values:
    """The states of the outputs from the carry of a body."""
    return {
        STATE_OUT + name: part[number : number + 1]
        for number, names in enumerate(layers)
        for name, part in zip(names, carry, strict=True)
    }
