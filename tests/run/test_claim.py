"""One run folder belongs to one training at a time, and a training that fails early does not block its folder."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seriatim.errors import DataError, RunError, TrainingError, UsageError
from seriatim.learning.observer import Silent
from seriatim.run import load, train

OPTIONS: dict[str, Any] = {"hidden": 4, "epochs": 1, "baselines": "none", "threads": 1}
TEXT = ["the cat sees the sun. the dog likes the sea. " * 20]


class Meanwhile(Silent):
    """An observer that calls a function when the training begins."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action

    def begin(self, total_steps: int | None, time_limit: float) -> None:
        """Call the function."""
        self.action()


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("resume", [False, True])
def test_second_training_in_the_same_folder_is_refused(resume: bool) -> None:
    def second() -> None:
        with pytest.raises(RunError, match="run: another training is writing to this folder"):
            train("language", TEXT, out="run", resume=resume, **OPTIONS)

    run = train("language", TEXT, out="run", observer=Meanwhile(second), **OPTIONS)
    assert load("run").result == run.result


def test_trainings_without_out_get_different_folders() -> None:
    paths: list[Path] = []
    outer = train(
        "language",
        TEXT,
        observer=Meanwhile(lambda: paths.append(train("language", TEXT, **OPTIONS).path)),
        **OPTIONS,
    )
    assert [outer.path, *paths] == [Path("runs/language-lstm-1"), Path("runs/language-lstm-2")]
    assert load(outer.path).result["scores"] == load(paths[0]).result["scores"]


def test_simultaneous_trainings_without_out_get_different_folders() -> None:
    start, paths = threading.Barrier(4), []

    def one_training() -> None:
        start.wait()
        paths.append(train("language", TEXT, model="unigram", baselines="none").path)

    threads = [threading.Thread(target=one_training) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(paths) == [Path(f"runs/language-unigram-{number}") for number in range(1, 5)]
    assert all(load(path).result["run"] == str(path) for path in paths)


def test_update_of_a_run_in_use_is_refused() -> None:
    run = train("language", TEXT, out="run", **OPTIONS)

    def second() -> None:
        with pytest.raises(RunError, match="another training is writing to this folder"):
            load("run").update(TEXT, quiet=True)

    run.update(TEXT, observer=Meanwhile(second))


def test_claim_ends_with_the_process() -> None:
    code = f"""
import os, seriatim
from seriatim.learning.observer import Silent
class Killed(Silent):
    def begin(self, total_steps, time_limit):
        os._exit(9)
seriatim.train("language", {TEXT!r}, out="run", observer=Killed(), **{OPTIONS!r})
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 9
    assert train("language", TEXT, out="run", **OPTIONS).result["epochs"] == 1


@pytest.mark.parametrize("out", [None, "run"])
def test_refused_training_leaves_no_folder(working_folder: Path, out: str | None) -> None:
    with pytest.raises(DataError):
        train("language", ["a"], out=out, **OPTIONS)
    assert list(working_folder.iterdir()) == []


@pytest.mark.parametrize("resume", [False, True])
def test_folder_of_an_early_failure_can_be_used_again(resume: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("seriatim.run.training.fit", lambda *arguments: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MemoryError):
            train("classify", ([[[1.0]], [[2.0]]] * 20, ["a", "b"] * 20), out="run", **OPTIONS)
    assert sorted(path.name for path in Path("run").iterdir()) == ["config.json", "scaler.json"]
    run = train("language", TEXT, out="run", resume=resume, **{**OPTIONS, "hidden": 3})
    assert (run.task, load("run").options.hidden) == ("language", 3)
    assert not Path("run/scaler.json").exists()


def test_folder_with_progress_is_still_refused() -> None:
    options = {**OPTIONS, "epochs": 60, "lr": 9e9, "optimizer": "sgd", "clip": 0.0, "model": "rnn"}
    with pytest.raises(TrainingError):
        train("language", TEXT, out="run", activation="relu", **options)
    with pytest.raises(UsageError, match="out: 'run' is not empty"):
        train("language", TEXT, out="run", **OPTIONS)


@pytest.mark.parametrize("content", [{"colour": "red"}, {"format": 99}])
def test_foreign_config_is_not_overwritten(content: dict[str, Any]) -> None:
    Path("mine").mkdir()
    Path("mine/config.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="out: 'mine' is not empty"):
        train("language", TEXT, out="mine", **OPTIONS)
    assert json.loads(Path("mine/config.json").read_text()) == content
