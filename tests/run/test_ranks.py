"""Training on several processes that ``torchrun`` starts: the same result as one process, also after a failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

pytestmark = pytest.mark.processes

OPTIONS = (
    *("--hidden", "8", "--layers", "1", "--batch-size", "6", "--truncation", "8", "--epochs", "4", "--lr", "3e-3"),
    *("--baselines", "none", "--quiet", "--checkpoint-every", "4"),
)
TIMEOUT = 8
"""Seconds after which a process that does not answer ends the others."""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(0)
    words = draw.choice(["sun", "moon", "rain", "wind"], 2400)
    file: Path = tmp_path_factory.mktemp("data") / "words.txt"
    file.write_text(" ".join(words), encoding="utf-8")
    return file


def start(out: Path, text: Path, processes: int = 2, restarts: int = 0, more: tuple[str, ...] = ()) -> Any:
    """Start ``torchrun`` with a training of a language model."""
    command = (
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=1", f"--nproc-per-node={processes}"),
        *(f"--max-restarts={restarts}", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--monitor-interval=0.1"),
        *("-m", "seriatim", "train", "language", str(text), "--out", str(out), *OPTIONS, *more),
    )
    environment = {**os.environ, "SERIATIM_RANK_TIMEOUT": str(TIMEOUT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: Any, code: int = 0) -> str:
    output: str = process.communicate(timeout=300)[0]
    assert process.returncode == code, output[-3000:]
    return output


def ranks_of(agent: int) -> dict[int, int]:
    """Return the process of each rank."""
    ranks = {}
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            variables = (folder / "environ").read_bytes().split(b"\0") if parent == agent else []
        except (OSError, ValueError, IndexError):
            continue
        ranks |= {int(variable[5:]): int(folder.name) for variable in variables if variable.startswith(b"RANK=")}
    return ranks


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 200
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited for {what} in vain")


def has_checkpoint(out: Path) -> bool:
    return (out / "checkpoint" / "state.safetensors").exists()


def weights(out: Path) -> dict[str, Any]:
    return dict(load_file(out / "model.safetensors"))


@pytest.fixture(scope="module")
def uninterrupted(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("runs") / "two"
    output = finish(start(out, text))
    assert output.count("run folder:") == 1  # rank 0 alone speaks
    return out


@pytest.mark.parametrize("processes", [1, 3])
def test_other_number_of_processes_gives_same_weights(
    processes: int, uninterrupted: Path, text: Path, tmp_path: Path
) -> None:
    """To a relative root mean square of 1e-4: the sums are rounded in another order, and Adam amplifies that."""
    finish(start(tmp_path / "run", text, processes))
    expected = weights(uninterrupted)
    for name, actual in weights(tmp_path / "run").items():
        assert np.linalg.norm(actual - expected[name]) < 1e-4 * np.linalg.norm(expected[name]), name


def test_run_is_as_from_one_process(uninterrupted: Path) -> None:
    result = json.loads((uninterrupted / "result.json").read_text())
    assert result["epochs"] == 4 and result["scores"]["perplexity"] > 1
    rows = [json.loads(line) for line in (uninterrupted / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] > 8


@pytest.mark.parametrize(("victim", "how"), [(1, signal.SIGKILL), (0, signal.SIGKILL), (1, signal.SIGSTOP)])
def test_training_after_failure_of_process_is_bit_equal(
    victim: int, how: signal.Signals, uninterrupted: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(out, text, restarts=1)
    wait_for(lambda: has_checkpoint(out), "a checkpoint")
    ranks = wait_for(lambda: len(ranks := ranks_of(process.pid)) == 2 and ranks, "two processes")
    assert not (out / "result.json").exists()
    os.kill(ranks[victim], how)
    finish(process)
    assert (out / "model.safetensors").read_bytes() == (uninterrupted / "model.safetensors").read_bytes()


def test_processes_end_without_torchrun_and_resume_is_bit_equal(
    uninterrupted: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(out, text)
    wait_for(lambda: has_checkpoint(out), "a checkpoint")
    ranks = wait_for(lambda: len(ranks := ranks_of(process.pid)) == 2 and ranks, "two processes")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=100)
    wait_for(lambda: not any(Path(f"/proc/{rank}").exists() for rank in ranks.values()), "the processes to end")
    finish(start(out, text, more=("--resume",)))
    assert (out / "model.safetensors").read_bytes() == (uninterrupted / "model.safetensors").read_bytes()
