"""Nodes in order, checked when they are loaded, and run one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, RunError, UsageError, nearest
from seriatim.layouts.onnx_nodes import INPUTS as RECURRENT
from seriatim.runtime.onnx.file import SCAN, Body, Node
from seriatim.runtime.onnx.operators import OPERATORS
from seriatim.runtime.onnx.recurrent import RecurrentNode
from seriatim.runtime.onnx.scan import ScanNode

Array = NDArray[Any]
Run = Callable[[list[Any]], Sequence[Array]]
"""The inputs of a node, None for an absent one → its outputs."""

KNOWN: Final = (*RECURRENT, SCAN, *OPERATORS)
"""The operators that this runtime has."""


@final
class Nodes:
    """Nodes that read the values called ``known``, ``constants``, and the values of nodes before them.

    Raises ``RunError`` for an unknown operator, for a value that no node before makes, and for a node that cannot run.
    """

    def __init__(self, nodes: Iterable[Node], constants: Mapping[str, Array], known: Collection[str]) -> None:
        self.constants: dict[str, Array] = dict(constants)
        self._nodes: list[tuple[Node, tuple[str, ...], Run]] = []
        names = {*self.constants, *known, ""}
        for node in nodes:
            if node.op_type not in KNOWN:
                raise RunError(f"this runtime has no operator for {node}{nearest(node.op_type, KNOWN)}")
            for name in node.inputs:
                if name not in names:
                    raise RunError(f"{node} reads '{name}', which no node before it makes")
            self._add(node, names)
            names |= set(node.outputs)
        self.names: Collection[str] = names
        """The names of all values after the last node."""

    def _add(self, node: Node, known: Collection[str]) -> None:
        """Add a node. A constant is evaluated at once."""
        if node.op_type == "Constant":
            try:
                self.constants |= _run(node, (), partial(OPERATORS["Constant"], node), {})
            except DataError as error:
                raise RunError(str(error)) from None
        elif node.op_type in RECURRENT:
            self._nodes.append((node, node.inputs, RecurrentNode(node, self.constants).run))
        elif node.op_type == SCAN:
            scan = ScanNode(node, known, self._load)
            self._nodes.append((node, scan.reads, scan.run))
        else:
            self._nodes.append((node, node.inputs, partial(OPERATORS[node.op_type], node)))

    def _load(self, body: Body, known: Collection[str]) -> Nodes:
        return Nodes(body.nodes, {**self.constants, **body.constants}, known)

    def run(self, values: dict[str, Array]) -> None:
        """Add the values of all nodes to ``values``, which has those that they read."""
        for node, reads, run in self._nodes:
            values |= _run(node, reads, run, values)


def value_of(values: Mapping[str, Array], name: str, reader: str) -> Array:
    """Return a value. Raises ``DataError`` for an optional output of a node that this runtime does not compute."""
    if name not in values:
        raise DataError(f"{reader} '{name}', an output that this runtime does not compute")
    return values[name]


def _run(node: Node, reads: Iterable[str], run: Run, values: Mapping[str, Array]) -> dict[str, Array]:
    """Run one node; return its outputs by name."""
    inputs: list[Any] = [value_of(values, name, f"{node} reads") if name else None for name in reads]
    try:
        with np.errstate(all="ignore"):
            results = run(inputs)
    except (DataError, UsageError) as error:
        raise DataError(f"{node}: {error}") from None
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError, ArithmeticError) as error:
        raise DataError(
            f"{node}: its inputs do not fit ({str(error) or type(error).__name__})".split("\n")[0]
        ) from None
    return {name: value for name, value in zip(node.outputs, results, strict=False) if name}
