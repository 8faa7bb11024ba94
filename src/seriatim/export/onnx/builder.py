"""Builds a graph of ONNX, node by node."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.nn.interchange.model import IR, OPSET
from seriatim.nn.interchange.onnx import library
from seriatim.runtime.onnx.model import METADATA, STATE_IN, STATE_OUT

Array = NDArray[Any]
Shape = Sequence[int | str]
Arrays = Mapping[str, Array]

Step = Callable[["GraphBuilder", list[str], list[str]], list[str]]
"""(graph of one step, values [B, ·] of the step, states before it) → the states after it."""

NEGATIVE: Final = np.array(-np.inf, np.float32)


class GraphBuilder:
    """A graph that grows. A value is known by its name, which the methods return.

    ``layers`` is the number of recurrent layers of the graph. The names of their states have numbers of equal length,
    so that the states' inputs and outputs have the same order when they are sorted. A graph inside a node of ``outer``
    has the constants of ``outer``, and its ``name`` before the names of its own values.
    """

    def __init__(self, layers: int = 0, *, outer: GraphBuilder | None = None, name: str = "") -> None:
        self._onnx = library("writing ONNX")
        self._digits = max(2, len(str(layers - 1)))
        self._prefix = f"{name}." if name else ""
        self._nodes: list[Any] = []
        self._constants: dict[str, Array] = {} if outer is None else outer._constants
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._state_inputs: list[Any] = []
        self._state_outputs: list[Any] = []
        self.layers: list[list[str]] = []
        """The names of the states of each recurrent layer."""

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        return self.add_node(op_type, inputs, 1, **attributes)[0]

    def add_node(
        self, op_type: str, inputs: Sequence[str], outputs: int, name: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs."""
        names = [f"{self._prefix}value_{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(op_type, list(inputs), names, name, **attributes))
        return names

    def scan(
        self, step: Step, states: Sequence[str], sequences: Mapping[str, Any], name: str, *, reverse: bool = False
    ) -> tuple[list[str], str]:
        """Add a node Scan that calls ``step`` at each step of ``sequences``.

        ``states`` [B, ·], float32, are the states before the first step. ``sequences`` are values [T, B, ·] and their
        types. Returns the states after the last step, and the first state after each step [T, B, ·]. With ``reverse``
        the last step is read first.
        """
        body = GraphBuilder(outer=self, name=name)
        before = [body.input(f"{name}.state_{number}", np.float32, None) for number in range(len(states))]
        read = [body.input(f"{name}.step_{number}", dtype, None) for number, dtype in enumerate(sequences.values())]
        after = step(body, read, before)
        body._outputs += [self._tensor(value, np.float32, None) for value in after]
        body.output(f"{name}.output", after[0], np.float32, None)
        graph = self._onnx.helper.make_graph(body._nodes, name, body._inputs, body._outputs)
        *final, output = self.add_node(
            "Scan", [*states, *sequences], len(states) + 1, name, body=graph, num_scan_inputs=len(sequences),
            scan_input_directions=[int(reverse)] * len(sequences), scan_output_directions=[int(reverse)],
        )  # fmt: skip
        return final, output

    def constant(self, values: Any, dtype: Any = None, name: str = "") -> str:
        """Add an array. Equal names are the same array."""
        name = name or f"constant_{len(self._constants)}"
        self._constants[name] = np.array(values, dtype, order="C")
        return name

    def integers(self, *values: int) -> str:
        """Add a list of whole numbers."""
        return self.constant(values, np.int64, "integers_" + "_".join(map(str, values)))

    def input(self, name: str, dtype: Any, shape: Shape | None) -> str:
        self._inputs.append(self._tensor(name, dtype, shape))
        return name

    def optional_input(self, name: str, default: Array, shape: Shape) -> str:
        """Add an input that has the value ``default`` where none is passed. It needs an axis with a name."""
        self._constants[name] = default
        return self.input(name, default.dtype, shape)

    def output(self, name: str, value: str, dtype: Any, shape: Shape | None) -> None:
        """Make ``value`` an output called ``name``."""
        self._rename(name, value)
        self._outputs.append(self._tensor(name, dtype, shape))

    def state(self, name: str, width: int) -> str:
        """Add the input of a state [1, B, width], float32."""
        self._state_inputs.append(self._tensor(STATE_IN + name, np.float32, [1, "B", width]))
        return STATE_IN + name

    def next_state(self, name: str, value: str, width: int) -> None:
        """Make ``value`` the state after the last step."""
        self._rename(STATE_OUT + name, value)
        self._state_outputs.append(self._tensor(STATE_OUT + name, np.float32, [1, "B", width]))

    def state_names(self, states: Sequence[str]) -> list[str]:
        """Return names for the states of the next recurrent layer."""
        self.layers.append([f"{len(self.layers):0{self._digits}d}_{state}" for state in states])
        return self.layers[-1]

    def zero(self) -> str:
        """The number 0, float32."""
        return self.constant(0, np.float32, "zero_float")

    def zeros(self, like: str, width: int) -> str:
        """Zeros [B, width] for ``like`` [T, B, ...], float32."""
        rows = self.add("Slice", self.add("Shape", like), self.integers(1), self.integers(2))
        shape = self.add("Concat", rows, self.integers(width), axis=0)
        return self.add("Expand", self.zero(), shape)

    def affine(self, x: str, arrays: Arrays, name: str) -> str:
        """x [..., I] → x Wᵀ + b, with ``NAME.weight`` [O, I] and, if there is one, ``NAME.bias`` [O]."""
        product = self.add("MatMul", x, self.constant(arrays[f"{name}.weight"].T, name=f"{name}.weight"))
        if f"{name}.bias" not in arrays:
            return product
        return self.add("Add", product, self.constant(arrays[f"{name}.bias"], name=f"{name}.bias"))

    def inside(self, lengths: str, like: str) -> str:
        """Whether each step of ``like`` [T, B, ...] is before the end of its row: booleans [T, B, 1]."""
        return self.add("Unsqueeze", self.add("Less", self.steps(like), lengths), self.integers(2))

    def steps(self, like: str) -> str:
        """The numbers of the steps of ``like`` [T, ...] from 0: int32 [T, 1]."""
        count = self.add("Gather", self.add("Shape", like), self.constant(0, np.int64, "zero"))
        places = self.add("Range", self.constant(0, np.int64, "zero"), count, self.constant(1, np.int64, "unit"))
        return self.add("Unsqueeze", self.add("Cast", places, to=self._type(np.int32)), self.integers(1))

    def cast(self, value: str, dtype: Any) -> str:
        return self.add("Cast", value, to=self._type(dtype))

    def model(self, metadata: Mapping[str, Any]) -> Any:
        """Return the ``ModelProto``, with ``metadata`` as JSON. Raises the library's errors for a faulty graph."""
        helper, numpy_helper = self._onnx.helper, self._onnx.numpy_helper
        constants = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = helper.make_graph(
            self._nodes, "seriatim", self._inputs + self._state_inputs, self._outputs + self._state_outputs, constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="seriatim")
        model.ir_version = IR
        helper.set_model_props(model, {METADATA: json.dumps(metadata)})
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _rename(self, name: str, value: str) -> None:
        """Add a copy of ``value``, so that a value may be several outputs."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))

    def _tensor(self, name: str, dtype: Any, shape: Shape | None) -> Any:
        """Describe a value. The shape of a value in a graph inside a node may be None: it follows from the node."""
        return self._onnx.helper.make_tensor_value_info(name, self._type(dtype), None if shape is None else list(shape))

    def _type(self, dtype: Any) -> int:
        code: int = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return code
