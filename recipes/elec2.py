"""Electricity prices, up or down, learned online: a GRU and an LSTM against naive rules and river's forests.

    python recipes/elec2.py DATA/elec2/electricity-normalized.csv docs/elec2.png

45,312 half hours (Harries 1999). The evaluation is prequential: each model predicts a row before it learns the row.
This needs river and matplotlib and takes about ten minutes on one core.
"""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot
from river import forest, tree

from seriatim.online import OnlineClassifier

WEEK = 7 * 48
"""Rows in a week."""
SMOOTHED = 4 * WEEK
"""Rows over which the picture averages."""
VIC = 17_424
"""From this row on Victoria's market takes part: three features that were constant before begin to change."""


class Learner(Protocol):
    """A classifier with river's conventions."""

    def predict_one(self, x: dict[str, float]) -> Any:
        """Return the most likely class."""

    def learn_one(self, x: dict[str, float], y: int) -> Any:
        """Learn one row."""


class NoChange:
    """Predicts the class of the previous row."""

    def __init__(self) -> None:
        self.previous = 0

    def predict_one(self, x: dict[str, float]) -> int:
        return self.previous

    def learn_one(self, x: dict[str, float], y: int) -> None:
        self.previous = y


class Majority:
    """Predicts the most frequent class so far."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter({0: 0})

    def predict_one(self, x: dict[str, float]) -> int:
        return self.counts.most_common(1)[0][0]

    def learn_one(self, x: dict[str, float], y: int) -> None:
        self.counts[y] += 1


class WithLast:
    """A learner that also reads the class of the previous row, as the networks do."""

    def __init__(self, learner: Learner) -> None:
        self.learner, self.previous = learner, 0

    def predict_one(self, x: dict[str, float]) -> Any:
        return self.learner.predict_one({**x, "before": self.previous})

    def learn_one(self, x: dict[str, float], y: int) -> None:
        self.learner.learn_one({**x, "before": self.previous}, y)
        self.previous = y


MODELS: dict[str, Callable[[], Learner]] = {
    "no change": NoChange,
    "majority": Majority,
    "Hoeffding tree": tree.HoeffdingTreeClassifier,
    "Hoeffding tree + last class": lambda: WithLast(tree.HoeffdingTreeClassifier()),
    "ARF": lambda: forest.ARFClassifier(seed=0),
    "ARF + last class": lambda: WithLast(forest.ARFClassifier(seed=0)),
    "online GRU": lambda: OnlineClassifier(model="gru", hidden=32, truncation=(1, 16), lr=3e-3, seed=0),
    "online LSTM": lambda: OnlineClassifier(model="lstm", hidden=32, truncation=(1, 16), lr=3e-3, seed=0),
}
DRAWN = {
    "no change": "#999999", "Hoeffding tree": "#7fb27f", "ARF + last class": "#2c7fb8", "online GRU": "#c0392b",
    "online LSTM": "#e59866",
}  # fmt: skip


def main(table: Path, picture: Path) -> None:
    """Run every model on the table, print its accuracy and draw it over time."""
    torch.set_num_threads(1)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    features = [name for name in rows[0] if name not in ("", "class")]
    stream = [({name: float(row[name]) for name in features}, int(row["class"])) for row in rows]
    correct = {}
    for name, make in MODELS.items():
        start = time.perf_counter()
        correct[name] = progressive(make(), stream)
        tenths = " ".join(f"{100 * part.mean():.1f}" for part in np.array_split(correct[name], 10))
        seconds = time.perf_counter() - start
        print(f"{name}: {100 * correct[name].mean():.2f} %; by tenths {tenths}; {seconds:.0f} s", flush=True)
    draw(correct, picture)


def progressive(learner: Learner, stream: list[tuple[dict[str, float], int]]) -> np.ndarray[Any, Any]:
    """Whether each row was predicted correctly before it was learned."""
    correct = np.zeros(len(stream), bool)
    for number, (x, y) in enumerate(stream):
        correct[number] = learner.predict_one(x) == y
        learner.learn_one(x, y)
    return correct


def draw(correct: dict[str, np.ndarray[Any, Any]], picture: Path) -> None:
    """Draw the accuracy of the last four weeks over time."""
    figure, axes = pyplot.subplots(figsize=(8, 3.4), layout="constrained")
    for name, colour in DRAWN.items():
        sums = np.cumsum(np.insert(correct[name], 0, 0))
        smoothed = (sums[SMOOTHED:] - sums[:-SMOOTHED]) / SMOOTHED
        label = f"{name}, {100 * correct[name].mean():.2f} % in all"
        axes.plot((np.arange(len(smoothed)) + SMOOTHED) / WEEK, 100 * smoothed, color=colour, lw=1.4, label=label)
    axes.axvline(VIC / WEEK, color="#bbbbbb", lw=0.8, ls=":")
    axes.annotate("Victoria joins", (VIC / WEEK, 0.95), xycoords=("data", "axes fraction"), fontsize=8, color="#777777")
    axes.set(xlabel="week from 7 May 1996", ylabel="right of the last four weeks, %")
    axes.set_title("Will the price rise? Each half hour is predicted, then learned")
    axes.legend(frameon=False, fontsize=8, loc="lower left", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
