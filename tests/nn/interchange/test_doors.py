"""The public names, and what importing them does not bring."""

from __future__ import annotations

import subprocess
import sys

from seriatim.nn import interchange


def test_the_list_is_what_there_is():
    assert interchange.__all__ == [
        "KerasLayer", "OnnxNode", "convert_z", "from_cells", "from_flax", "from_keras", "from_onnx", "from_torch",
        "onnx_model", "read_onnx", "table", "to_cells", "to_flax", "to_keras", "to_onnx", "to_torch",
    ]  # fmt: skip
    assert all(getattr(interchange, name).__doc__ for name in interchange.__all__)


def test_no_framework_is_imported_and_the_layers_do_without_this():
    code = """
import sys
import seriatim.nn
assert "seriatim.nn.interchange" not in sys.modules
import seriatim.nn.interchange
print({"keras", "tensorflow", "jax", "flax", "onnx", "onnxruntime"} & set(sys.modules))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.stdout.strip() == "set()", said.stderr
