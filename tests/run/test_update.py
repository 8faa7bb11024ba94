"""``update``: training continues with new data, and a failure loses nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from seriatim.errors import DataError, Interrupted, UsageError
from seriatim.learning.observer import Silent
from seriatim.run import load, train
from seriatim.storage import read_arrays

OPTIONS = {"hidden": 4, "epochs": 1, "batch_size": 16, "threads": 1, "quiet": True}
WORDS = {"warm": ("red", "rose", "fire"), "cold": ("sea", "sky", "blue")}


def table(file: Path, seed: int, words=WORDS) -> Path:
    draw = random.Random(seed)
    lines = [f"{' '.join(draw.choices(words[label], k=3))} {row},{label}" for row in range(40) for label in words]
    file.write_text("\n".join(["text,label", *lines]) + "\n")
    return file


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def run(tmp_path: Path):
    old = table(tmp_path / "old.csv", 0)
    return train("classify", old, text="text", label="label", baselines="fast", out=str(tmp_path / "run"), **OPTIONS)


@pytest.fixture
def new_file(tmp_path: Path) -> Path:
    return table(tmp_path / "new.csv", 1)


def test_old_and_new_data_are_scored_before_and_after(run, new_file):
    previous = run.evaluate()["scores"]
    results = run.update(new_file, epochs=2, quiet=True)
    assert results["before"]["old"] == previous
    assert results["after"]["old"] == run.evaluate()["scores"] == run.result["scores"]
    assert results["before"].keys() == results["after"].keys() == {"new", "old"}
    assert results["baselines"].keys() == {"majority"} and results["epochs"] == 2
    assert run.result["epochs"] == 3 and run.result["data"]["hash"] != results["data"]["hash"]
    assert load(run.path).notes[-1].startswith(f"updated on {new_file} (sha256:")


def test_update_starts_from_trained_weights(run, new_file):
    """With a tiny learning rate the weights hardly change, and the optimizer continues its step count."""
    weights = read_arrays(run.path / "model.safetensors")
    steps = {
        name: array for name, array in read_arrays(run.path / "checkpoint/state.safetensors").items() if "step" in name
    }
    codec = (run.path / "vocabulary.json").read_bytes()
    run.update(new_file, lr=1e-12, quiet=True)
    updated = read_arrays(run.path / "model.safetensors")
    assert all(abs(array - updated[name]).max() < 1e-9 for name, array in weights.items())
    counted = read_arrays(run.path / "checkpoint/state.safetensors")
    assert steps and all(counted[name] == 2 * array for name, array in steps.items())
    assert (run.path / "vocabulary.json").read_bytes() == codec


def test_out_leaves_the_run_unchanged(run, new_file, tmp_path):
    previous = bytes_of(run.path)
    results = run.update(new_file, out=tmp_path / "other", quiet=True)
    assert bytes_of(run.path) == previous and results["run"] == str(tmp_path / "other")
    assert load(tmp_path / "other").result["scores"] == results["after"]["old"]
    with pytest.raises(UsageError, match=r"out: .* is not empty"):
        run.update(new_file, out=tmp_path / "other", quiet=True)


class Breaking(Silent):
    """An observer that ends the training with an exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def step(self, step, epoch, loss, rate):
        raise self.error


@pytest.mark.parametrize("error", [Interrupted("now"), OSError("disk"), KeyboardInterrupt()], ids=repr)
def test_failed_update_changes_nothing(run, new_file, error):
    previous = bytes_of(run.path)
    with pytest.raises(type(error)):
        run.update(new_file, observer=Breaking(error))
    assert bytes_of(run.path) == previous
    assert sorted(file.name for file in run.path.parent.iterdir()) == ["new.csv", "old.csv", "run"]


def test_missing_old_data(run, new_file, tmp_path):
    (tmp_path / "old.csv").unlink()
    with pytest.raises(DataError, match="replay: "):
        run.update(new_file, replay=0.5, quiet=True)
    results = run.update(new_file, quiet=True)
    assert results["before"]["old"] is None
    assert run.result["data"]["hash"] == results["data"]["hash"] and run.result["scores"] == results["after"]["new"]


def test_replay_preserves_old_knowledge(tmp_path):
    """New data that contradict the old ones: with replay of old data, less is forgotten."""
    old, new_file = table(tmp_path / "old.csv", 0), tmp_path / "new.csv"
    table(new_file, 1, {"warm": ("ice", "snow"), "cold": ("ice", "snow")})
    options = {**OPTIONS, "text": "text", "label": "label", "baselines": "none", "epochs": 12, "lr": 1e-2}
    train("classify", old, out=str(tmp_path / "run"), **options)
    sizes = []
    for share in (0.0, 1.0):
        results = load(tmp_path / "run").update(new_file, replay=share, epochs=2, out=tmp_path / str(share), quiet=True)
        rows = (tmp_path / str(share) / "metrics.jsonl").read_text().splitlines()
        sizes.append(json.loads(rows[-1])["step"])
        assert set(results["after"]["old"]) == {"accuracy", "macro_f1"}
    assert sizes == [8, 16]  # updates: twice the data


@pytest.mark.parametrize("task", ["language", "forecast"])
def test_replay_of_other_tasks(task, tmp_path):
    if task == "language":
        files = [tmp_path / f"{name}.txt" for name in "ab"]
        for file, line in zip(files, ("the cat sees the sun.\n", "the sun sees a cat.\n"), strict=True):
            file.write_text(line * 60)
        run = train(task, files[0], truncation=10, baselines="none", out=str(tmp_path / "run"), **OPTIONS)
    else:
        files = [tmp_path / f"{name}.csv" for name in "ab"]
        for file, slope in zip(files, (1, 3), strict=True):
            file.write_text("\n".join(["close", *(str(slope * step % 17) for step in range(90))]) + "\n")
        options = {"target": "close", "horizon": 3, "lookback": 9, "baselines": "none"}
        run = train(task, files[0], out=str(tmp_path / "run"), **options, **OPTIONS)
    results = run.update(files[1], replay=0.5, quiet=True)
    assert results["after"]["new"].keys() == results["before"]["old"].keys() == run.result["scores"].keys()


def test_unsuitable_new_data_are_refused(run, tmp_path):
    previous = bytes_of(run.path)
    odd = table(tmp_path / "odd.csv", 1, {"warm": ("red",), "odd": ("sea",)})
    error = r"odd.csv line \d+: 'odd' was not in the training part of this run; an update cannot learn a new label"
    with pytest.raises(DataError, match=error):
        run.update(odd, quiet=True)
    with pytest.raises(UsageError, match="replay"):
        run.update(odd, replay=-1.0, quiet=True)
    assert bytes_of(run.path) == previous


def test_statistical_model_cannot_be_updated(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("the cat sees the sun. " * 20)
    run = train("language", file, model="unigram", baselines="none", out=str(tmp_path / "run"), quiet=True)
    with pytest.raises(UsageError, match="update: for networks; unigram is fitted in one go"):
        run.update(file, quiet=True)
