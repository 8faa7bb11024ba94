"""The baselines of a run: which ones are fitted, and how long they may train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
