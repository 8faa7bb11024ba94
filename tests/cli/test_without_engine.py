"""``seriatim train`` without the native engine: PyTorch computes, and one warning says so."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import sys
sys.modules["seriatim.kernels._native"] = None
from seriatim.cli import main
main()
"""


def test_train(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("the cat sat on the mat, the dog sat on the log\n" * 40, encoding="utf-8")
    options = ["--hidden", "8", "--epochs", "1", "--threads", "1", "--baselines", "none", "--json"]
    result = subprocess.run(
        [sys.executable, "-c", CODE, "train", "language", str(file), *options, "--out", str(tmp_path / "run")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["epochs"] == 1
    assert result.stderr.count("the native engine was not built") == 1, result.stderr
