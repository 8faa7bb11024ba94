"""A run that was killed or interrupted continues, with the same bytes as a run that never stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seriatim.learning.observer import Silent
from seriatim.run import Run, load, train
from seriatim.storage import read_arrays

COMMON: dict[str, Any] = {"hidden": 8, "epochs": 3, "threads": 1, "checkpoint_every": 4, "dropout": 0.2}
OPTIONS: dict[str, dict[str, Any]] = {
    "language": {**COMMON, "truncation": 20, "batch_size": 8, "baselines": "fast"},
    "classify": {**COMMON, "text": "text", "label": "label", "batch_size": 8, "baselines": "fast"},
    "translate": {**COMMON, "unit": "char", "batch_size": 8, "teacher_forcing": 0.5, "attention": "additive"},
    "tag": {**COMMON, "batch_size": 8, "crf": True, "spelling": 4},
    "caption": {**COMMON, "image": "image", "text": "caption", "image_size": 8, "filters": 2, "batch_size": 8},
    "forecast": {**COMMON, "time": "date", "target": "close", "horizon": 4, "lookback": 12, "batch_size": 8},
}
EPOCH = {"language": 15, "caption": 12, "classify": 12, "tag": 12, "translate": 12, "forecast": 9}
"""Updates per epoch."""


def write(folder: Path, task: str) -> Path:
    """Write a file of data for ``task``."""
    draw = random.Random(0)
    if task == "language":
        file = folder / "corpus.txt"
        lines = [f"the {draw.choice(['cat', 'dog'])} sees the {draw.choice(['sun', 'sea'])}." for _ in range(130)]
    elif task == "classify":
        words = {"warm": ("red", "rose", "fire"), "cold": ("sea", "sky", "blue")}
        lines = [f"{' '.join(draw.choices(words[label], k=3))} {row},{label}" for row in range(60) for label in words]
        file, lines = folder / "messages.csv", ["text,label", *lines]
    elif task == "translate":
        words = ["".join(draw.choices("abc", k=3)) for _ in range(120)]
        file, lines = folder / "pairs.csv", ["source,target", *(f"{word},{word[::-1]}" for word in words)]
    elif task == "caption":
        shades = [draw.randrange(256) for _ in range(120)]
        for row, shade in enumerate(shades):
            Image.new("L", (9, 9), shade).save(folder / f"{row}.png")
        rows = [f"{row}.png,{'dark' if shade < 128 else 'bright'}" for row, shade in enumerate(shades)]
        file, lines = folder / "pictures.csv", ["image,caption", *rows]
    elif task == "tag":
        pairs = [draw.choice([("dog", "NOUN"), ("barks", "VERB"), (f"n{row}", "NUM")]) for row in range(480)]
        rows = ["".join(f"{word}\t{tag}\n" for word, tag in pairs[start : start + 4]) for start in range(0, 480, 4)]
        file, lines = folder / "tagged.tsv", rows
    else:
        days = np.datetime64("2020-01-01") + np.arange(95)
        lines = [f"{day},{10 + draw.random():.4f}" for day in days]
        file, lines = folder / "prices.csv", ["date,close", *lines]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module", params=OPTIONS)
def finished_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Run]:
    """A task, its data, and a run that never stopped."""
    task, folder = request.param, tmp_path_factory.mktemp("whole")
    file = write(folder, task)
    return task, file, train(task, file, out=str(folder / "run"), **OPTIONS[task])


class Steps(Silent):
    """An observer that records the updates of the model."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.alone = True

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        if self.alone:
            self.seen.append(step)

    def baseline(self, name: str) -> None:
        self.alone = False


KILLED = """
    import os, signal
    from seriatim.learning.observer import Silent
    from seriatim.run import train

    class Kill(Silent):
        def step(self, step, epoch, loss, units_per_second):
            if step == {step}:
                os.kill(os.getpid(), signal.SIGKILL)

    train({task!r}, {data!r}, out={out!r}, observer=Kill(), **{options!r})
"""


@pytest.mark.parametrize("epoch", [0, 2])
def test_killed_run_resumes_to_same_bytes(finished_run: tuple[str, Path, Run], tmp_path: Path, epoch: int) -> None:
    task, file, finished = finished_run
    killed_at = EPOCH[task] * epoch + 7  # in mid-epoch, and not where a checkpoint was just written
    out = tmp_path / "run"
    script = KILLED.format(step=killed_at, task=task, data=str(file), out=str(out), options=OPTIONS[task])
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (out / "result.json").exists()
    steps = Steps()
    resumed = train(task, file, out=str(out), resume=True, observer=steps, **OPTIONS[task])
    assert steps.seen == list(range(killed_at // 4 * 4 + 1, 3 * EPOCH[task] + 1)), "it continued from the checkpoint"
    for name in (
        "model.safetensors",
        *(f"baselines/{baseline}.safetensors" for baseline in finished.result["baselines"]),
    ):
        assert (out / name).read_bytes() == (finished.path / name).read_bytes(), name
    for key in ("data", "scores", "baselines", "parameters", "epochs"):
        assert resumed.result[key] == finished.result[key], key
    rows, expected = (
        [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
        for run in (resumed, finished)
    )
    for row in (*rows, *expected):
        row.pop("tokens_per_second", row.pop("steps_per_second", None))
    assert rows == expected


def test_other_random_numbers_give_other_bytes(finished_run: tuple[str, Path, Run], tmp_path: Path) -> None:
    """The test above can fail: dropout draws from the generator that a checkpoint keeps."""
    task, file, finished = finished_run
    options = {**OPTIONS[task], "seed": 1, "baselines": "none"}
    other = train(task, file, out=str(tmp_path / "run"), **options)
    names = ("model.safetensors",)
    assert all((other.path / name).read_bytes() != (finished.path / name).read_bytes() for name in names)


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    """Wait until ``file`` is there."""
    while not file.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def test_ctrl_c_saves_best_weights(tmp_path: Path) -> None:
    file, out = write(tmp_path, "classify"), tmp_path / "run"
    words = ["train", "classify", file, "--text", "text", "--label", "label", "--hidden", 8, "--out", out]
    words += ["--epochs", 1_000_000, "--checkpoint-every", 20, "--threads", 1, "--lr", 1e-5]
    process = subprocess.Popen(
        [sys.executable, "-m", "seriatim", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    wait_for(out / "model.safetensors", process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert stdout == ""
    last = stderr.splitlines()[-1]
    assert last.startswith("seriatim: interrupted at step ")
    assert last.endswith("the best weights are saved, --resume goes on from here")
    assert "Traceback" not in stderr
    run = load(out)
    assert len(list(run.predict(["red rose", "sea sky"]))) == 2
    weights = read_arrays(out / "model.safetensors")
    assert all(np.isfinite(array).all() for array in weights.values())
    assert (out / "checkpoint" / "state.safetensors").exists()
    assert not list(out.rglob("*.part"))
