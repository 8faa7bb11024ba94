"""Training by Spark's TorchDistributor with two processes: the bytes that torchrun gives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="pyspark is heavy; scripts/test-extras installs it")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Spark's own warnings, and sockets that it leaves open
    pytest.mark.skipif(shutil.which("java") is None and "JAVA_HOME" not in os.environ, reason="wants java"),
]

OPTIONS: dict[str, Any] = {
    "hidden": 8,
    "batch_size": 6,
    "truncation": 8,
    "epochs": 2,
    "baselines": "none",
    "threads": 1,
}


def test_result_equals_that_of_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.ml.torch.distributor import TorchDistributor
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    text = tmp_path / "words.txt"
    text.write_text(" ".join(f"w{number * number % 17}" for number in range(900)), encoding="utf-8")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, "-m", "seriatim", "train", "language", str(text), "--out", str(tmp_path / "torchrun")]
    subprocess.run([*command, "--quiet", *options], check=True, timeout=300)

    def train(text: str, out: str, options: dict[str, Any]) -> None:
        import seriatim

        seriatim.train("language", text, out=out, resume=True, quiet=True, **options)

    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        distributor = TorchDistributor(num_processes=2, local_mode=False, use_gpu=False)
        distributor.run(train, str(text), str(tmp_path / "spark"), OPTIONS)
    finally:
        session.stop()
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("torchrun", "spark"))
    assert first == second
