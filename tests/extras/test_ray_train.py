"""Training by Ray Train with two workers: the bytes that torchrun gives, also when a worker is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import seriatim
from seriatim.errors import UsageError

ray = pytest.importorskip("ray", reason="ray is heavy; scripts/test-extras installs it")
pytest.importorskip("ray.train.torch", reason="wants the libraries of ray[train]")

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own warnings, and files that it leaves open

WORDS = ["sun", "moon", "rain", "wind", "snow", "hail"]
OPTIONS: dict[str, Any] = {
    "model": "lstm", "hidden": 8, "layers": 1, "batch_size": 6, "truncation": 8, "epochs": 4, "lr": 3e-3,
    "dropout": 0.2, "baselines": "none", "quiet": True, "checkpoint_every": 40,
}  # fmt: skip


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file: Path = tmp_path_factory.mktemp("data") / "words.txt"
    file.write_text(" ".join(WORDS[number * number % 6] + WORDS[number % 5] for number in range(250)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def by_torchrun(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two processes that torchrun starts."""
    out: Path = tmp_path_factory.mktemp("runs") / "run"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items() if name != "quiet"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, "-m", "seriatim", "train", "language", str(text), "--out", str(out), "--quiet", *options]
    subprocess.run(command, check=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return out


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield
    ray.shutdown()


def train(worker: Callable[[dict[str, Any]], None], config: dict[str, Any], storage: Path, failures: int = 0) -> Any:
    """Return Ray's result of two workers."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    run_config = RunConfig(
        name="run",
        storage_path=str(storage),
        failure_config=FailureConfig(max_failures=failures),
        checkpoint_config=CheckpointConfig(num_to_keep=3),
    )
    trainer = TorchTrainer(
        worker, train_loop_config=config, scaling_config=ScalingConfig(num_workers=2), run_config=run_config
    )
    return trainer.fit()


def test_result_equals_that_of_torchrun(cluster: None, by_torchrun: Path, text: Path, tmp_path: Path) -> None:
    from seriatim.run.ray_train import train_worker

    result = train(train_worker, {"task": "language", "data": str(text), **OPTIONS}, tmp_path)
    run = seriatim.load(result.checkpoint.path)
    assert (run.path / "model.safetensors").read_bytes() == (by_torchrun / "model.safetensors").read_bytes()
    assert result.metrics["perplexity"] == run.result["scores"]["perplexity"]
    assert result.metrics["valid_perplexity"] > 1


def test_training_goes_on_from_reported_checkpoint(
    cluster: None, by_torchrun: Path, text: Path, tmp_path: Path
) -> None:
    def worker(config: dict[str, Any]) -> None:
        """Kill the process of rank 1 once, after some checkpoints. Ray has noted the first by then."""
        import os
        import signal
        import threading
        import time
        from pathlib import Path

        import ray.train

        from seriatim.run.ray_train import train_worker

        storage = Path(config.pop("storage"))

        def kill() -> None:
            while len(list(storage.glob("run/checkpoint_*/checkpoint/state.safetensors"))) < 3:
                time.sleep(0.005)
            (storage / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

        if ray.train.get_context().get_world_rank() == 1 and not (storage / "killed").exists():
            threading.Thread(target=kill, daemon=True).start()
        if (storage / "killed").exists():
            last = ray.train.get_checkpoint()
            assert last is not None and not (Path(last.path) / "result.json").exists()
            (storage / "continued").touch()
        train_worker(config)

    config = {"task": "language", "data": str(text), "storage": str(tmp_path), **OPTIONS}
    result = train(worker, config, tmp_path, failures=1)
    assert (tmp_path / "continued").exists()
    actual = Path(result.checkpoint.path, "model.safetensors").read_bytes()
    assert actual == (by_torchrun / "model.safetensors").read_bytes()


@pytest.mark.parametrize("option", ["out", "resume"])
def test_options_that_ray_decides_are_refused(option: str) -> None:
    from seriatim.run.ray_train import train_worker

    with pytest.raises(UsageError, match=f"{option}: got 'x', but Ray's storage keeps the run folder"):
        train_worker({"task": "language", "data": "words.txt", option: "x"})
