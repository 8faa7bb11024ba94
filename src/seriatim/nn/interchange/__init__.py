"""Weights of ``RNN``, ``LSTM`` and ``GRU`` to and from other frameworks.

    layer = from_keras(theirs)         theirs: their layer, a list of them (a stack), or what ``to_keras`` gave
    theirs = to_keras(layer)           a list with their description of each stacked layer, NumPy arrays in their order

and so for ``onnx`` and ``flax``; ``to_torch`` gives a ``torch.nn`` module, ``to_cells`` one cell for each layer and
direction. None of the frameworks has to be installed, except that reading or writing an ONNX file takes ``onnx``. What
a framework cannot hold is refused with a ``UsageError`` that names it. ``docs/interchange.md`` has the gate orders and
the layouts of the biases.
"""

from __future__ import annotations

from seriatim.nn.interchange.cells import from_cells, to_cells
from seriatim.nn.interchange.convention import table
from seriatim.nn.interchange.flax import from_flax, to_flax
from seriatim.nn.interchange.keras import KerasLayer, from_keras, to_keras
from seriatim.nn.interchange.model import onnx_model
from seriatim.nn.interchange.onnx import OnnxNode, from_onnx, read_onnx, to_onnx
from seriatim.nn.interchange.pytorch import from_torch, to_torch
from seriatim.nn.interchange.update_gate import convert_z

__all__ = [
    "KerasLayer", "OnnxNode", "convert_z", "from_cells", "from_flax", "from_keras", "from_onnx", "from_torch",
    "onnx_model", "read_onnx", "table", "to_cells", "to_flax", "to_keras", "to_onnx", "to_torch",
]  # fmt: skip
