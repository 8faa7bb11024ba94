"""Files that version 0.1.0 wrote (commit 72a65c3, in ``tests/saved``) can be read and continued.

The runs are language models of 4 units on ``corpus.txt``. ``interrupted`` was stopped by Ctrl-C after update 9 of 21.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from seriatim.learning.checkpoint import read_checkpoint
from seriatim.learning.observer import Silent
from seriatim.online import OnlineClassifier, OnlineRegressor
from seriatim.run import load, train

SAVED = Path(__file__).parent / "saved" / "0.1.0"
OPTIONS: dict[str, Any] = {
    "hidden": 4, "embedding": 4, "epochs": 3, "threads": 1, "truncation": 20, "batch_size": 8, "baselines": "fast",
}  # fmt: skip
FEATURES = {"a": 1.0, "b": 0.5}


class Steps(Silent):
    """An observer that collects the numbers of the updates."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        self.steps.append(step)


def test_interrupted_run_continues(tmp_path: Path) -> None:
    shutil.copytree(SAVED / "interrupted", tmp_path / "run")
    observer = Steps()
    run = train(
        "language", SAVED / "corpus.txt", out=str(tmp_path / "run"), resume=True, checkpoint_every=3, observer=observer,
        **OPTIONS,
    )  # fmt: skip
    assert observer.steps == list(range(10, 22))
    finished = json.loads((SAVED / "finished" / "result.json").read_text())["scores"]
    assert run.result["scores"]["nll"] == pytest.approx(finished["nll"], rel=1e-5)


def test_finished_run_has_its_scores() -> None:
    run = load(SAVED / "finished")
    scores = run.evaluate(SAVED / "corpus.txt")
    assert scores["scores"]["nll"] > 0
    assert set(scores["baselines"]) == {"unigram", "markov"}


def test_checkpoint_has_its_progress() -> None:
    progress = read_checkpoint(SAVED / "finished" / "checkpoint" / "state.safetensors", []).progress
    assert (progress.step, progress.epoch, progress.position, progress.finished) == (21, 3, 0, True)
    assert progress.last_gain == progress.best == progress.rows[-1]["valid_nll"]
    assert (progress.since_gain, progress.lr_drops) == (0, 0)


@pytest.mark.parametrize(("name", "probability"), [("classifier", 0.490281072068549), ("rtrl", 0.48371596622693064)])
def test_online_classifier_predicts_the_same(name: str, probability: float) -> None:
    model = OnlineClassifier.load(SAVED / f"online_{name}.safetensors")
    assert model.predict_proba_one(FEATURES)["yes"] == pytest.approx(probability, rel=1e-5)
    model.learn_one({**FEATURES, "new": 1.0}, "maybe")
    assert set(model.predict_proba_one(FEATURES)) == {"yes", "no", "maybe"}


def test_online_regressor_predicts_the_same() -> None:
    model = OnlineRegressor.load(SAVED / "online_regressor.safetensors")
    assert model.predict_one(FEATURES) == pytest.approx(1.1330201544353629, rel=1e-5)
    model.learn_one(FEATURES, 2.0)
