"""The cost of a gradient through T steps for each learner: processor time and peak memory, as a table and a picture.

    python benchmarks/learners.py --json learners.json --plot docs/learners.png
    python benchmarks/learners.py --show learners.json --plot docs/learners.png     draws earlier figures
    python benchmarks/learners.py --equal 1000000 500e6      the difference between recomputing and plain BPTT

A language model of one LSTM layer (64 units, 2 rows, float32, one thread) reads T random symbols of 32 once. The
learners are plain BPTT; recomputing BPTT with a tenth of plain BPTT's memory, but at least 4 MB; and truncated BPTT
with an update every 100 steps, (100, 100) and (100, 200). RTRL, SnAp-1 and UORO have 16 units and 1 row. Their cost
per step does not depend on T, so they are measured on short streams.

Each run is a process of its own. The time of the second pass is reported: in the first pass, recomputing BPTT
measures the memory of a step, and RTRL, SnAp-1 and UORO trace their operations. Memory is the growth of the process's
peak while it learns, after weights and data were loaded and a short warm-up has run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _report import Report, Row, duration, markdown, read

STEPS = (100, 1_000, 10_000, 100_000)
"""Lengths by default; 1_000_000 needs a machine with 16 GB."""
BACKWARD = ("bptt", "recompute", "tbptt 100,100", "tbptt 100,200")
FORWARD = ("rtrl", "snap1", "uoro")
MAX_FORWARD_STEPS = 1_000
"""Longest stream for the forward-mode learners."""
MIN_MEMORY = 4e6
"""Least memory for ``recompute``, in bytes."""
SYMBOLS, LARGE, SMALL, EMBEDDING, ROWS = 32, 64, 16, 16, 2


def main() -> None:
    """Measure, print and draw."""
    options = arguments()
    if options.one:
        print(json.dumps(measure_one(*options.one)))
        return
    if options.equal:
        print(difference(*options.equal))
        return
    rows = read(options.show) if options.show else list(measure_all(options))
    print("\n" + table(rows))
    if options.plot:
        draw(rows, options.plot)


def measure_all(options: argparse.Namespace) -> Iterator[Row]:
    """Measure every learner and length, each in a process of its own."""
    report = Report(("rule", "steps"), options.json)
    plain: dict[int, float] = {}
    for rule in options.rules:
        for steps in options.steps:
            if rule in FORWARD and steps > MAX_FORWARD_STEPS:
                continue
            memory = max(plain.get(steps, 0.0) / 10, MIN_MEMORY)
            command = [sys.executable, __file__, "--one", rule, str(steps), str(memory)]
            row = {"rule": rule, "steps": steps, **json.loads(subprocess.check_output(command))}
            if rule == "bptt":
                plain[steps] = row["bytes"]
            report.add(row)
            print(f"{rule:<14} T = {steps:<7} {duration(row['seconds']):>8}  {row['bytes'] / 1e6:8.1f} MB", flush=True)
            yield row


def measure_one(rule: str, steps: str, memory: str) -> Row:
    """Measure one learner on one length, in this process."""
    from seriatim.models.contract import Carry
    from seriatim.models.language import LanguageBatch

    name, _, truncation = rule.partition(" ")
    pair = tuple(map(int, truncation.split(","))) if truncation else (100,)
    model, data = make_model_and_data(int(steps), *((SMALL, 1) if rule in FORWARD else (LARGE, ROWS)))
    learner = learner_of(name, pair, float(memory))

    def learn(length: int) -> None:
        carry: Carry = ()
        size = length if name in ("bptt", "recompute") else pair[0]
        for start in range(0, length, size):
            first = max(start - (pair[-1] - pair[0]), 0)
            stop = min(start + size, length)
            batch = LanguageBatch(data[first:stop], data[first + 1 : stop + 1], overlap=start - first)
            model.zero_grad()
            _, carry = learner.step(model, batch, carry)

    learn(min(100, int(steps)))
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    learn(int(steps))
    start = time.process_time()
    learn(int(steps))
    seconds = time.process_time() - start
    peak_growth = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before)
    return {"seconds": seconds, "bytes": peak_growth}


def difference(steps: str, memory: str) -> str:
    """The largest difference between the gradients of recomputing and plain BPTT, relative to the largest gradient."""
    from seriatim.models.language import LanguageBatch

    model, data = make_model_and_data(int(steps), LARGE, ROWS)
    batch, gradients = LanguageBatch(data[:-1], data[1:]), []
    for name in ("recompute", "bptt"):
        model.zero_grad()
        learner_of(name, (100,), float(memory)).step(model, batch, ())
        gradients.append({key: value.grad.clone() for key, value in model.named_parameters()})
    recomputed, plain = gradients
    worst = {key: float((recomputed[key] - value).abs().max() / value.abs().max()) for key, value in plain.items()}
    return "\n".join(f"{key:<32} {value:.1e}" for key, value in worst.items())


def make_model_and_data(steps: int, hidden: int, rows: int) -> tuple[Any, Any]:
    """The model and random symbols [T + 1, B]."""
    import torch

    from seriatim.models.language import RecurrentLanguageModel
    from seriatim.models.options import ModelOptions

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = RecurrentLanguageModel(ModelOptions(hidden=hidden, embedding=EMBEDDING), SYMBOLS, tie=False)
    return model, torch.randint(0, SYMBOLS, (steps + 1, rows))


def learner_of(name: str, truncation: tuple[int, ...], memory: float) -> Any:
    """The learner that the command line makes of these options."""
    from seriatim.learning.learners import make_learner
    from seriatim.learning.options import LearningOptions

    return make_learner(LearningOptions(learner=name, truncation=truncation, memory=memory))


def table(rows: list[Row]) -> str:
    """Time and memory, also relative to plain BPTT, in Markdown."""
    plain = {row["steps"]: row for row in rows if row["rule"] == "bptt"}
    lines = []
    for row in rows:
        base = plain.get(row["steps"])
        has_base = row["rule"] not in FORWARD and base is not None and base["bytes"] > MIN_MEMORY
        lines.append([
            row["rule"], f"{row['steps']:,}", duration(row["seconds"]), duration(row["seconds"] / row["steps"]),
            f"{row['bytes'] / 1e6:.1f} MB",
            f"{row['seconds'] / base['seconds']:.2f}" if has_base else "",
            f"{row['bytes'] / base['bytes']:.2f}" if has_base else "",
        ])  # fmt: skip
    return markdown(["rule", "T", "time", "per step", "peak memory", "time / bptt", "memory / bptt"], lines)


def draw(rows: list[Row], file: Path) -> None:
    """Draw time and memory over T."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for index, rule in enumerate(dict.fromkeys(row["rule"] for row in rows)):
        points = sorted((row["steps"], row["seconds"], row["bytes"] / 1e6) for row in rows if row["rule"] == rule)
        steps, seconds, megabytes = map(np.array, zip(*points, strict=True))
        style = "s--" if rule in FORWARD else "o-"
        label = f"{rule} ({SMALL} units)" if rule in FORWARD else rule
        for panel, values in zip(panels, (seconds, np.maximum(megabytes, 0.1)), strict=True):
            panel.loglog(steps, values, style, color=f"C{index}", label=label, markersize=4)
    for panel, name in zip(panels, ("processor time, s", "peak memory, MB (at least 0.1)"), strict=True):
        panel.set_xlabel("steps T")
        panel.set_ylabel(name)
        panel.grid(alpha=0.3)
    panels[1].legend(fontsize=8)
    figure.suptitle(f"A gradient through T steps: LSTM, {LARGE} units, {ROWS} rows, float32, one thread", fontsize=11)
    figure.savefig(file, dpi=150)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", nargs="+", default=BACKWARD + FORWARD, choices=BACKWARD + FORWARD)
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here; other rows in the file stay")
    parser.add_argument("--show", type=Path, metavar="FILE", help="read the figures from here and measure nothing")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture, for example docs/learners.png")
    parser.add_argument("--equal", nargs=2, metavar=("STEPS", "BYTES"), help="compare gradients instead")
    parser.add_argument("--one", nargs=3, metavar=("RULE", "STEPS", "BYTES"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
