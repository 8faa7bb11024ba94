"""ONNX's operators on NumPy arrays, but for the recurrent ones. https://onnx.ai/onnx/operators

An operator takes the node and its inputs (None for an absent one), and returns its outputs. It checks the size of a
result that may be much larger than its inputs before it takes memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError
from seriatim.runtime import arithmetic
from seriatim.runtime.onnx.file import TYPES, Node

Array = NDArray[Any]
Inputs = Sequence[Array]
Operator = Callable[[Node, Inputs], Sequence[Array]]

MOST_VALUES: Final = 1 << 28
"""The largest number of values of a result."""


def check_size(*sizes: float) -> None:
    """Raise ``DataError`` if a result of these sizes has more than ``MOST_VALUES`` values."""
    if math.prod(sizes) > MOST_VALUES:
        raise DataError(f"a result of {' × '.join(f'{size:g}' for size in sizes)} values, wanted at most {MOST_VALUES}")


def _elementwise(function: Callable[..., Array]) -> Operator:
    """An operator on arrays that are broadcast to one shape."""

    def operator(node: Node, inputs: Inputs) -> Sequence[Array]:
        check_size(*np.broadcast_shapes(*(value.shape for value in inputs)))
        return [np.asarray(function(*inputs))]

    return operator


def _unary(function: Callable[[Any], Array]) -> Operator:
    return lambda node, inputs: [np.asarray(function(inputs[0]))]


def _folded(function: Callable[[Array, Array], Array]) -> Operator:
    """An operator on any number of arrays, such as the sum."""

    def operator(node: Node, inputs: Inputs) -> Sequence[Array]:
        result = inputs[0]
        for value in inputs[1:]:
            check_size(*np.broadcast_shapes(result.shape, value.shape))
            result = function(result, value)
        return [result]

    return operator


def _divide(a: Array, b: Array) -> Array:
    if np.issubdtype(a.dtype, np.integer):
        _refuse_zero(b)
        towards_zero: Array = (a - np.fmod(a, b)) // b  # exact, also beyond 2^53
        return towards_zero
    result: Array = a / b
    return result


def _refuse_zero(divisor: Array) -> None:
    """Raise ``DataError`` for a whole number 0, by which no whole number can be divided."""
    if not divisor.all():
        raise DataError("a whole number is divided by 0")


def _mod(node: Node, inputs: Inputs) -> Sequence[Array]:
    if np.issubdtype(inputs[1].dtype, np.integer):
        _refuse_zero(inputs[1])
    return _elementwise(np.fmod if node.attributes.get("fmod", 0) else np.mod)(node, inputs)


def _softplus(x: Array) -> Array:
    return (np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))).astype(x.dtype)


def _axes(node: Node, inputs: Inputs, place: int = 1) -> tuple[int, ...] | None:
    """The axes of a reduction: an input in new files, an attribute in old ones; None for all."""
    if len(inputs) > place and inputs[place] is not None:
        return tuple(inputs[place].tolist())
    axes = node.attributes.get("axes")
    return None if axes is None else tuple(axes)


def _reduction(function: Callable[..., Array]) -> Operator:
    def operator(node: Node, inputs: Inputs) -> Sequence[Array]:
        keep, axes = bool(node.attributes.get("keepdims", 1)), _axes(node, inputs) or None
        if axes is None and node.attributes.get("noop_with_empty_axes", 0):
            return [inputs[0]]
        return [np.asarray(function(inputs[0], axis=axes, keepdims=keep), inputs[0].dtype)]

    return operator


def _mean(x: Array, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    """The mean; of whole numbers the quotient of their sum, which is exact also beyond 2^53."""
    if np.issubdtype(x.dtype, np.integer):
        total = np.asarray(np.sum(x, axis=axis, keepdims=keepdims))
        return _divide(total, np.asarray(x.size // max(total.size, 1), total.dtype))
    return np.asarray(np.mean(x, axis=axis, keepdims=keepdims))


def _cast(node: Node, inputs: Inputs) -> Sequence[Array]:
    code = node.attributes["to"]
    if code not in TYPES:
        raise DataError(f"to: the type {code}, wanted {', '.join(map(str, TYPES))}")
    return [inputs[0].astype(TYPES[code])]


def _gather(node: Node, inputs: Inputs) -> Sequence[Array]:
    values, indices = inputs
    axis = node.attributes.get("axis", 0) % max(values.ndim, 1)
    check_size(*values.shape[:axis], *indices.shape, *values.shape[axis + 1 :])
    return [np.take(values, indices, axis)]  # raises IndexError for an index beyond the axis


def _gather_elements(node: Node, inputs: Inputs) -> Sequence[Array]:
    return [np.take_along_axis(inputs[0], inputs[1], node.attributes.get("axis", 0))]


def _matmul(node: Node, inputs: Inputs) -> Sequence[Array]:
    a, b = inputs
    if a.ndim > 1 and b.ndim > 1:
        check_size(*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    return [np.asarray(a @ b)]


def _gemm(node: Node, inputs: Inputs) -> Sequence[Array]:
    read = node.attributes.get
    a, b = inputs[0].T if read("transA") else inputs[0], inputs[1].T if read("transB") else inputs[1]
    check_size(a.shape[0], b.shape[1])
    result = np.asarray(read("alpha", 1.0), a.dtype) * (a @ b)
    if len(inputs) > 2 and inputs[2] is not None:
        result = result + np.asarray(read("beta", 1.0), a.dtype) * inputs[2]
    return [result]


def _reshape(node: Node, inputs: Inputs) -> Sequence[Array]:
    values, shape = inputs[0], inputs[1].tolist()
    if not node.attributes.get("allowzero", 0):
        shape = [values.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return [values.reshape(shape)]


def _transpose(node: Node, inputs: Inputs) -> Sequence[Array]:
    return [np.transpose(inputs[0], node.attributes.get("perm"))]


def _squeeze(node: Node, inputs: Inputs) -> Sequence[Array]:
    return [np.squeeze(inputs[0], _axes(node, inputs))]


def _unsqueeze(node: Node, inputs: Inputs) -> Sequence[Array]:
    return [np.expand_dims(inputs[0], _axes(node, inputs) or ())]


def _concat(node: Node, inputs: Inputs) -> Sequence[Array]:
    check_size(sum(value.size for value in inputs))
    return [np.concatenate(inputs, node.attributes["axis"])]


def _split(node: Node, inputs: Inputs) -> Sequence[Array]:
    axis = node.attributes.get("axis", 0)
    size = inputs[0].shape[axis]
    if len(inputs) > 1 and inputs[1] is not None:
        sizes = inputs[1].tolist()
    else:
        part = -(-size // len(node.outputs))
        sizes = [min(part, size - part * number) for number in range(len(node.outputs))]
    if sum(sizes) != size or len(sizes) != len(node.outputs) or min(sizes) < 0:
        raise DataError(f"split: {sizes} of {size} values for {len(node.outputs)} outputs")
    return np.split(inputs[0], np.cumsum(sizes)[:-1], axis)


def _slice(node: Node, inputs: Inputs) -> Sequence[Array]:
    values, starts, ends = inputs[:3]
    axes, steps = (inputs[place] if len(inputs) > place else None for place in (3, 4))
    places = range(len(starts)) if axes is None else axes.tolist()
    strides = [1] * len(starts) if steps is None else steps.tolist()
    index = [slice(None)] * values.ndim
    for axis, start, end, stride in zip(places, starts.tolist(), ends.tolist(), strides, strict=True):
        stop = None if stride < 0 and end < -values.shape[axis] else end
        index[axis] = slice(start, stop, stride)
    return [values[tuple(index)]]


def _expand(node: Node, inputs: Inputs) -> Sequence[Array]:
    shape = np.broadcast_shapes(inputs[0].shape, tuple(inputs[1].tolist()))
    check_size(*shape)
    return [np.broadcast_to(inputs[0], shape)]


def _constant_of_shape(node: Node, inputs: Inputs) -> Sequence[Array]:
    check_size(*inputs[0].tolist())
    value = node.attributes.get("value", np.zeros(1, np.float32))
    return [np.full(inputs[0].tolist(), value.reshape(-1)[0], value.dtype)]


def _range(node: Node, inputs: Inputs) -> Sequence[Array]:
    start, limit, delta = (value.reshape(-1)[0] for value in inputs)
    check_size(max(0.0, math.ceil((float(limit) - float(start)) / float(delta))))
    return [np.asarray(np.arange(start, limit, delta), inputs[0].dtype)]


def _constant(node: Node, inputs: Inputs) -> Sequence[Array]:
    readers: Mapping[str, Any] = {
        "value": None, "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64,
        "value_ints": np.int64,
    }  # fmt: skip
    for name, dtype in readers.items():
        if name in node.attributes:
            return [np.asarray(node.attributes[name], dtype)]
    raise DataError("a constant without a value")


def _softmax(node: Node, inputs: Inputs) -> Sequence[Array]:
    axis = node.attributes.get("axis", -1)
    e = np.exp(inputs[0] - inputs[0].max(axis, keepdims=True))
    return [e / e.sum(axis, keepdims=True)]


def _log_softmax(node: Node, inputs: Inputs) -> Sequence[Array]:
    axis = node.attributes.get("axis", -1)
    shifted = inputs[0] - inputs[0].max(axis, keepdims=True)
    return [shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))]


def _layer_normalization(node: Node, inputs: Inputs) -> Sequence[Array]:
    x, axis = inputs[0], node.attributes.get("axis", -1)
    axes = tuple(range(axis % x.ndim, x.ndim))
    centred = x - x.mean(axes, keepdims=True)
    deviation = np.sqrt(
        np.square(centred).mean(axes, keepdims=True) + x.dtype.type(node.attributes.get("epsilon", 1e-5))
    )
    result = centred / deviation * inputs[1]
    return [result if len(inputs) < 3 or inputs[2] is None else result + inputs[2]]


def _batch_normalization(node: Node, inputs: Inputs) -> Sequence[Array]:
    if node.attributes.get("training_mode", 0):
        raise DataError("training_mode is 1, wanted 0: it would normalise by the statistics of the batch")
    x, *parts = inputs
    scale, shift, mean, variance = (part.reshape(-1, *[1] * (x.ndim - 2)) for part in parts)
    return [(x - mean) / np.sqrt(variance + x.dtype.type(node.attributes.get("epsilon", 1e-5))) * scale + shift]


def _top_k(node: Node, inputs: Inputs) -> Sequence[Array]:
    axis, count = node.attributes.get("axis", -1), int(inputs[1].reshape(-1)[0])
    values = -inputs[0] if node.attributes.get("largest", 1) else inputs[0]
    order = np.take(np.argsort(values, axis, kind="stable"), np.arange(count), axis)
    return [np.take_along_axis(inputs[0], order, axis), order.astype(np.int64)]


def _conv(node: Node, inputs: Inputs) -> Sequence[Array]:
    """A convolution over two axes, [B, C, H, W], without groups and dilations."""
    x, weight, read = inputs[0], inputs[1], node.attributes.get
    is_plain = read("group", 1) == 1 and set(read("dilations", [1])) == {1} and read("auto_pad", "NOTSET") == "NOTSET"
    if x.ndim != 4 or not is_plain:
        raise DataError("a convolution with groups, dilations or auto_pad, or not over two axes")
    top, left, bottom, right = read("pads", [0, 0, 0, 0])
    check_size(*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right, *weight.shape[2:])
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    down, across = read("strides", [1, 1])
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], (2, 3))[:, :, ::down, ::across]
    result = np.moveaxis(np.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3))), 3, 1)
    return [result if len(inputs) < 3 or inputs[2] is None else result + inputs[2].reshape(-1, 1, 1)]


OPERATORS: Final[Mapping[str, Operator]] = {
    "Abs": _unary(np.abs), "Exp": _unary(np.exp), "Identity": _unary(lambda x: x), "Log": _unary(np.log),
    "Neg": _unary(np.negative), "Not": _unary(np.logical_not), "Relu": _unary(lambda x: np.maximum(x, 0)),
    "Sigmoid": _unary(arithmetic.sigmoid), "Softplus": _unary(_softplus), "Sqrt": _unary(np.sqrt),
    "Tanh": _unary(np.tanh), "Erf": _unary(arithmetic.erf),
    "Shape": _unary(lambda x: np.array(x.shape, np.int64)),
    "Add": _elementwise(np.add), "Sub": _elementwise(np.subtract), "Mul": _elementwise(np.multiply),
    "Div": _elementwise(_divide), "Pow": _elementwise(lambda a, b: np.power(a, b).astype(a.dtype)),
    "Mod": _mod, "Equal": _elementwise(np.equal), "Less": _elementwise(np.less),
    "Greater": _elementwise(np.greater), "GreaterOrEqual": _elementwise(np.greater_equal),
    "LessOrEqual": _elementwise(np.less_equal), "And": _elementwise(np.logical_and), "Where": _elementwise(np.where),
    "Max": _folded(np.maximum), "Min": _folded(np.minimum), "Sum": _folded(np.add),
    "ReduceMax": _reduction(np.max), "ReduceMean": _reduction(_mean), "ReduceSum": _reduction(np.sum),
    "BatchNormalization": _batch_normalization, "Cast": _cast, "Concat": _concat, "Constant": _constant,
    "ConstantOfShape": _constant_of_shape, "Conv": _conv, "Expand": _expand, "Gather": _gather,
    "GatherElements": _gather_elements, "Gemm": _gemm, "LayerNormalization": _layer_normalization,
    "LogSoftmax": _log_softmax, "MatMul": _matmul, "Range": _range, "Reshape": _reshape, "Slice": _slice,
    "Softmax": _softmax, "Split": _split, "Squeeze": _squeeze, "TopK": _top_k, "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}  # fmt: skip
"""The operators by name."""
