"""The time of one step of a live stream: ``predict_one``, then ``learn_one``.

    python benchmarks/online.py --models gru lstm --rows 2000 --json online.json

The stream is random: 8 numbers and two classes in each row. A network has 32 units and learns by TBPTT(1, 16), the
defaults of ``OnlineClassifier``. River's adaptive random forest (10 trees) reads the same stream, if it is installed.
The models take turns after each block of 100 rows. The first fifth of the rows is not timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import numpy as np
import torch
from _report import Report, Row, duration, markdown

from seriatim.online import OnlineClassifier

FEATURES = 8
BLOCK = 100
FOREST = "river forest"


def main() -> None:
    """Measure and print."""
    options = arguments()
    torch.set_num_threads(options.threads)
    report = Report(("model", "threads"), options.json)
    for row in measure(options.models, options.rows, options.threads):
        report.add(row)
    columns = ["model", "predict_one, median", "90 %", "learn_one, median", "90 %"]
    times = ("predict", "predict_90", "learn", "learn_90")
    print(markdown(columns, [[row["model"], *(duration(row[time]) for time in times)] for row in report.rows]))


def measure(names: list[str], rows: int, threads: int) -> Iterator[Row]:
    """Measure all models on the same stream."""
    models: dict[str, Any] = {name: OnlineClassifier(model=name) for name in names} | forest()
    predict: dict[str, list[float]] = {name: [] for name in models}
    learn: dict[str, list[float]] = {name: [] for name in models}
    steps = list(stream(rows))
    for first in range(0, rows, BLOCK):
        for name, model in models.items():
            for x, y in steps[first : first + BLOCK]:
                start = perf_counter()
                model.predict_one(x)
                predicted = perf_counter()
                model.learn_one(x, y)
                learned = perf_counter()
                predict[name].append(predicted - start)
                learn[name].append(learned - predicted)
    for name in models:
        row: Row = {"model": name, "threads": threads}
        for verb, seconds in (("predict", predict[name]), ("learn", learn[name])):
            deciles = quantiles(seconds[rows // 5 :], n=10)
            row |= {verb: deciles[4], f"{verb}_90": deciles[8]}
        yield row


def stream(rows: int) -> Iterator[tuple[dict[str, float], bool]]:
    """Rows of random numbers, whose class is the sign of a sum over this row and the row before it."""
    draw = np.random.default_rng(0)
    before = 0.0
    for _ in range(rows):
        values = draw.normal(size=FEATURES).tolist()
        yield {f"x{index}": value for index, value in enumerate(values)}, sum(values) + before > 0
        before = sum(values)


def forest() -> dict[str, Any]:
    """River's adaptive random forest; empty if river is not installed."""
    try:
        from river.forest import ARFClassifier
    except ImportError:
        return {}
    return {FOREST: ARFClassifier(n_models=10, seed=0)}


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["gru", "lstm", "rnn"])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here; other rows in the file stay")
    return parser.parse_args()


if __name__ == "__main__":
    main()
