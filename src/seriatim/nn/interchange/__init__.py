"""Weights of ``RNN``, ``LSTM`` and ``GRU`` to and from other frameworks.

    layer = from_keras(theirs)         theirs: a layer of Keras, a list of them (a stack), or the result of ``to_keras``
    theirs = to_keras(layer)           a list with a description of each stacked layer, NumPy arrays in Keras's order

The same functions exist for ``onnx`` and ``flax``. ``to_torch`` returns a ``torch.nn`` module, and ``to_cells`` one
cell for each layer and direction. No framework has to be installed, except ``onnx`` to read or write an ONNX file. If a
framework cannot represent an option, a ``UsageError`` names it. ``docs/interchange.md`` has the gate orders and the
layouts of the biases.
"""

from __future__ import annotations

from seriatim.layouts.convention import table
from seriatim.layouts.onnx_nodes import OnnxNode
from seriatim.nn.interchange.cells import from_cells, to_cells
from seriatim.nn.interchange.flax import from_flax, to_flax
from seriatim.nn.interchange.keras import KerasLayer, from_keras, to_keras
from seriatim.nn.interchange.model import onnx_model
from seriatim.nn.interchange.onnx import from_onnx, read_onnx, to_onnx
from seriatim.nn.interchange.pytorch import from_torch, to_torch
from seriatim.nn.interchange.update_gate import convert_z

__all__ = [
    "KerasLayer", "OnnxNode", "convert_z", "from_cells", "from_flax", "from_keras", "from_onnx", "from_torch",
    "onnx_model", "read_onnx", "table", "to_cells", "to_flax", "to_keras", "to_onnx", "to_torch",
]  # fmt: skip
