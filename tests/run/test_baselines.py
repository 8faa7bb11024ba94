"""The baselines of a run: which ones are fitted, and how long they may train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seriatim.cli.scores import show_result
from seriatim.learning.observer import Silent
from seriatim.run import load, train

TEXT = "the cat sees the sun. a dog likes the sea. " * 60
PRICES = "date,close\n" + "".join(f"2020-{1 + row // 28:02}-{1 + row % 28:02},{10 + row % 6}\n" for row in range(84))
SMALL: dict[str, Any] = {"hidden": 4, "threads": 1}


class Limits(Silent):
    """Records the time limit of each training, by the name of the baseline."""

    def __init__(self) -> None:
        self.limits: dict[str, float] = {}
        self._name = "model"

    def begin(self, total_steps: int | None, time_limit: float) -> None:
        self.limits[self._name] = time_limit

    def baseline(self, name: str) -> None:
        self._name = name


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ({"time_limit": 1.0}, {"model": 1.0, "cbow": 0.5, "window": 0.5}),
        ({"time_limit": 1.0, "model": "window"}, {"model": 1.0, "cbow": 1.0}),
        ({"epochs": 1}, {"model": float("inf"), "cbow": 60.0, "window": 60.0}),
        ({"time_limit": 1.0, "baselines": "fast"}, {"model": 1.0}),
    ],
)
def test_trained_baselines_share_the_time_limit(
    options: dict[str, Any], limits: dict[str, float], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    observer = Limits()
    train("language", tmp_path / "a.txt", out=str(tmp_path / "run"), observer=observer, **SMALL, **options)
    assert observer.limits == limits


@pytest.mark.parametrize(
    ("options", "baselines"),
    [
        ({}, ["naive", "drift", "ar", "theta", "ets"]),
        ({"model": "seasonal_naive"}, ["drift", "ar", "theta", "ets"]),
        ({"model": "naive"}, ["drift", "ar", "theta", "ets"]),
        ({"season": 7}, ["naive", "seasonal_naive", "drift", "ar", "theta", "ets"]),
    ],
)
def test_seasonal_naive_is_listed_once(options: dict[str, Any], baselines: list[str], tmp_path: Path) -> None:
    """At season 1 it is the naive forecast."""
    (tmp_path / "a.csv").write_text(PRICES)
    run = train(
        "forecast", tmp_path / "a.csv", target=("close",), time="date", horizon=3, epochs=1,
        out=str(tmp_path / "run"), quiet=True, **SMALL, **options,
    )  # fmt: skip
    assert list(run.result["baselines"]) == baselines
    assert list(load(tmp_path / "run").evaluate()["baselines"]) == baselines


def test_result_and_table_say_what_the_time_limit_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("seriatim.models.naive.nearest_sequence.WORK", 1.0)
    draw = np.random.default_rng(0)
    labels = [str(label) for label in np.arange(40) % 2]
    sequences = [int(label) + draw.normal(size=(5, 1)) for label in labels]
    options: dict[str, Any] = {"epochs": 1, "quiet": True, **SMALL}
    run = train("classify", (sequences, labels), out=str(tmp_path / "run"), **options)
    assert run.result["limited"] == {"nearest": "2 of 32 sequences"}
    opened = load(tmp_path / "run")
    show_result(opened, opened.result, opened.verdict())
    assert "nearest: fitted on 2 of 32 sequences, to bound its time" in capsys.readouterr().out
    alone = train("classify", (sequences, labels), model="nearest", out=str(tmp_path / "alone"), **options)
    assert alone.result["limited"] == {"nearest": "2 of 32 sequences"}
    whole = train("classify", (sequences, labels), baselines="fast", out=str(tmp_path / "whole"), **options)
    assert "limited" not in whole.result


def test_taggers_and_language_models_say_what_the_time_limit_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("the\tD\ndog\tN\n\nit\tP\nruns\tV\n\n" * 200)
    (tmp_path / "a.txt").write_text(TEXT)
    options: dict[str, Any] = {"time_limit": 1e-5, "quiet": True, **SMALL}
    limited = train("tag", tmp_path / "a.tsv", out=str(tmp_path / "tag"), **options).result["limited"]
    assert set(limited) == {"lstm", "most_frequent_tag", "perceptron"}
    assert limited["perceptron"].endswith(" of 5 epochs, 1 of 40 validation sentences"), limited
    limited = train("language", tmp_path / "a.txt", out=str(tmp_path / "text"), **options).result["limited"]
    assert limited["markov"] == "1 of 9 orders" and limited["cbow"].endswith(" of 3 epochs"), limited
    run = train("tag", tmp_path / "a.tsv", epochs=1, out=str(tmp_path / "all"), quiet=True, **SMALL)
    assert "limited" not in run.result
