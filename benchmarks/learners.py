"""What a gradient through T steps costs by each rule: processor time and peak memory, as a table and a picture.

    python benchmarks/learners.py --json learners.json --plot docs/learners.png
    python benchmarks/learners.py --show learners.json --plot docs/learners.png     draws what was measured before
    python benchmarks/learners.py --equal 1000000 500e6      by how much recomputing and plain BPTT differ

A language model of one LSTM layer (64 units, 2 rows, float32, one thread) reads T random units of 32 once: plain BPTT;
recomputing BPTT in a tenth of the memory that plain BPTT took, or in 4 MB where that is less; truncated BPTT
with an update every 100 steps, (100, 100) and (100, 200). RTRL and its kin have 16 units and 1 row, and their cost per
step does not depend on T, so that they are measured on short streams. Each run is a process of its own. Time is that of
the second pass: in the first, recomputing measures what a step needs, and RTRL and its kin write their operations down.
Memory is what the peak of the process gains while it learns, over what it had with weights and data and after a short
warm-up.
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
"""By default; 1_000_000 are for machines of 16 GB."""
BACKWARD = ("bptt", "recompute", "tbptt 100,100", "tbptt 100,200")
FORWARD = ("rtrl", "snap1", "uoro")
LONGEST = 1_000
"""Steps of the forward rules."""
LEAST = 4e6
"""Bytes for ``recompute``."""
UNITS, LARGE, SMALL, EMBEDDING, ROWS = 32, 64, 16, 16, 2


def main() -> None:
    """Measure, print and draw."""
    asked = arguments()
    if asked.one:
        print(json.dumps(one(*asked.one)))
        return
    if asked.equal:
        print(difference(*asked.equal))
        return
    rows = read(asked.show) if asked.show else list(measured(asked))
    print("\n" + table(rows))
    if asked.plot:
        draw(rows, asked.plot)


def measured(asked: argparse.Namespace) -> Iterator[Row]:
    """Every rule and length."""
    report = Report(("rule", "steps"), asked.json)
    plain: dict[int, float] = {}
    for rule in asked.rules:
        for steps in asked.steps:
            if rule in FORWARD and steps > LONGEST:
                continue
            memory = max(plain.get(steps, 0.0) / 10, LEAST)
            command = [sys.executable, __file__, "--one", rule, str(steps), str(memory)]
            row = {"rule": rule, "steps": steps, **json.loads(subprocess.check_output(command))}
            if rule == "bptt":
                plain[steps] = row["bytes"]
            report.add(row)
            print(f"{rule:<14} T = {steps:<7} {duration(row['seconds']):>8}  {row['bytes'] / 1e6:8.1f} MB", flush=True)
            yield row


def one(rule: str, steps: str, memory: str) -> Row:
    """Measure one rule on one length, in this process."""
    from seriatim.models.contract import Carry
    from seriatim.models.language import LanguageBatch

    name, _, truncation = rule.partition(" ")
    pair = tuple(map(int, truncation.split(","))) if truncation else (100,)
    model, data = material(int(steps), *((SMALL, 1) if rule in FORWARD else (LARGE, ROWS)))
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
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    learn(int(steps))
    began = time.process_time()
    learn(int(steps))
    seconds = time.process_time() - began
    gained = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return {"seconds": seconds, "bytes": gained}


def difference(steps: str, memory: str) -> str:
    """By how much the gradients of recomputing and plain BPTT differ at most, over the largest number in them."""
    from seriatim.models.language import LanguageBatch

    model, data = material(int(steps), LARGE, ROWS)
    batch, found = LanguageBatch(data[:-1], data[1:]), []
    for name in ("recompute", "bptt"):
        model.zero_grad()
        learner_of(name, (100,), float(memory)).step(model, batch, ())
        found.append({key: value.grad.clone() for key, value in model.named_parameters()})
    worst = {key: float((found[0][key] - one).abs().max() / one.abs().max()) for key, one in found[1].items()}
    return "\n".join(f"{key:<32} {value:.1e}" for key, value in worst.items())


def material(steps: int, hidden: int, rows: int) -> tuple[Any, Any]:
    """The model and the units [T + 1, B]."""
    import torch

    from seriatim.models.language import RecurrentLanguageModel
    from seriatim.models.options import ModelOptions

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = RecurrentLanguageModel(ModelOptions(hidden=hidden, embedding=EMBEDDING), UNITS, tie=False)
    return model, torch.randint(0, UNITS, (steps + 1, rows))


def learner_of(name: str, truncation: tuple[int, ...], memory: float) -> Any:
    """The learner as the command line makes it."""
    from seriatim.learning.learners import make_learner
    from seriatim.learning.options import LearningOptions

    return make_learner(LearningOptions(learner=name, truncation=truncation, memory=memory))


def table(rows: list[Row]) -> str:
    """Seconds, memory and both over plain BPTT's as Markdown."""
    plain = {row["steps"]: row for row in rows if row["rule"] == "bptt"}
    lines = []
    for row in rows:
        base = plain.get(row["steps"])
        compared = row["rule"] not in FORWARD and base is not None and base["bytes"] > LEAST
        lines.append([
            row["rule"], f"{row['steps']:,}", duration(row["seconds"]), duration(row["seconds"] / row["steps"]),
            f"{row['bytes'] / 1e6:.1f} MB",
            f"{row['seconds'] / base['seconds']:.2f}" if compared else "",
            f"{row['bytes'] / base['bytes']:.2f}" if compared else "",
        ])  # fmt: skip
    return markdown(["rule", "T", "time", "per step", "peak memory", "time / bptt", "memory / bptt"], lines)


def draw(rows: list[Row], file: Path) -> None:
    """Draw time and memory over T."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for index, rule in enumerate(dict.fromkeys(row["rule"] for row in rows)):
        found = sorted((row["steps"], row["seconds"], row["bytes"] / 1e6) for row in rows if row["rule"] == rule)
        steps, seconds, megabytes = map(np.array, zip(*found, strict=True))
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
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", nargs="+", default=BACKWARD + FORWARD, choices=BACKWARD + FORWARD)
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here; rows there already stay")
    parser.add_argument("--show", type=Path, metavar="FILE", help="take the figures from here and run nothing")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture, for example docs/learners.png")
    parser.add_argument("--equal", nargs=2, metavar=("STEPS", "BYTES"), help="compare the gradients instead")
    parser.add_argument("--one", nargs=3, metavar=("RULE", "STEPS", "BYTES"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
