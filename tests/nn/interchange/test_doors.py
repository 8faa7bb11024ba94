"""The public names, and modules that importing them does not load."""

from __future__ import annotations

import subprocess
import sys

from seriatim.nn import interchange


def test_public_names_are_the_written_list():
    assert interchange.__all__ == [
        "KerasLayer", "OnnxNode", "convert_z", "from_cells", "from_flax", "from_keras", "from_onnx", "from_torch",
        "onnx_model", "read_onnx", "table", "to_cells", "to_flax", "to_keras", "to_onnx", "to_torch",
    ]  # fmt: skip
    assert all(getattr(interchange, name).__doc__ for name in interchange.__all__)


def test_import_loads_no_framework_and_layers_do_not_import_the_converters():
    code = """
import sys
import seriatim.nn
assert "seriatim.nn.interchange" not in sys.modules
import seriatim.nn.interchange
print({"keras", "tensorflow", "jax", "flax", "onnx", "onnxruntime"} & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
