"""``seriatim train`` with closed standard error, and with signals that ask it to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from seriatim.run import load

COMMAND = [sys.executable, "-m", "seriatim", "train", "language"]
QUICK = ["--hidden", "4", "--threads", "1", "--baselines", "none", "--lr", "1e-5"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "corpus.txt"
    file.write_text("the cat sees the sun. the dog likes the sea. " * 60)
    return file


@pytest.mark.processes
@pytest.mark.parametrize("redirection", ["2> >(head -n 1 >/dev/null)", "2>&-", "2>/dev/full"])
def test_closed_standard_error_does_not_end_training(tmp_path: Path, corpus: Path, redirection: str) -> None:
    words = [*COMMAND, str(corpus), "--epochs", "200", *QUICK, "--out", str(tmp_path / "run"), "--json"]
    line = " ".join(f"'{word}'" for word in words) + f" {redirection}"
    result = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, text=True, timeout=120)
    assert result.returncode == 0
    assert json.loads(result.stdout)["epochs"] == 200
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) > 1, "more lines than head reads"
    assert load(tmp_path / "run").result["epochs"] == 200


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_saves_a_checkpoint(tmp_path: Path, corpus: Path, number: int) -> None:
    out = tmp_path / "run"
    words = [*COMMAND, str(corpus), "--epochs", "1000000", *QUICK, "--checkpoint-every", "1000000", "--out", str(out)]
    environment: dict[str, Any] = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not (out / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, ""), stderr
    assert stderr.splitlines()[-1].startswith("seriatim: interrupted at step ")
    assert (out / "checkpoint" / "state.safetensors").exists()
    assert not list(out.rglob("*.part"))
