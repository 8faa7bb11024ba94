"""Whether ``inspect`` names faults that were planted, accuses no sound run, and gives advice that helps.

    python recipes/planted_faults.py                        held-out data, the table and the shares
    python recipes/planted_faults.py --data development     the data on which the thresholds were chosen
    python recipes/planted_faults.py --advice               also follow the advice, and compare validation scores
    python recipes/planted_faults.py --only truncation season --seeds 2 --json figures.json

A case is a fault, a task and a seed. The seed varies cell, hidden size, lengths and periods. A planted fault is named
if one of its checks in ``NAMES`` gives a warning or a fault. A sound run is accused if any check gives a fault, or a
check that is not in ``SOFT`` gives a warning. The sets of data are of different kinds, and two tasks are held out as
a whole:

               development (by turns)                       held-out
    language   a text that repeats itself every P letters,  two chains of letters by turns: each letter
               a Markov chain of order 2                    depends on the last but one
    forecast   a sine of period P with noise,               a stochastic cycle: an autoregression of order 2
               a sawtooth on an autoregression
    classify   classes that differ in level,                classes that differ in which of two pulses comes
               classes that differ in frequency             first, at any two steps
    regress                                                 the sum of the heights of two pulses
    tag                                                     a letter's tag depends on the letter before, too

A text whose truncation is too short needs a long dependence: it repeats itself in both sets.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fault_cases import HELD_OUT_TASKS, PAIRS, RECIPES, Case, make

import seriatim
from seriatim.errors import TrainingError
from seriatim.learning.observer import Silent
from seriatim.percent import percent

NAMES: Mapping[str, tuple[str, ...]] = {
    "truncation": ("reach",),
    "lookback": ("reach",),
    "gates_open": ("gates_open",),
    "gates_shut": ("gates_shut",),
    "vanishing": ("vanishing_gradient", "context"),
    "exploding": ("exploding_gradient", "clipping", "learning_rate_high"),
    "rate_high": ("learning_rate_high", "saturation", "gate_saturation", "constant_units", "dead_units", "clipping"),
    "rate_low": ("learning_rate_low", "still_learning"),
    "dead": ("dead_units", "constant_units"),
    "leak": ("leak",),
    "constant": ("constant_inputs",),
    "season": ("season",),
    "labels": ("labels",),
    "repeated": ("repeated_rows",),
    "shuffled": ("order",),
}
"""Fault → the checks that name it."""
SOFT = ("baselines", "still_learning", "overfitting", "coverage", "context")
"""Checks whose warning is no accusation: a sound run may lose to a baseline, or be too short."""
TRAINING_STOPPED = "training stopped"


class Warnings(Silent):
    """Collect the faults that are said while a model trains."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        """Keep the line if it is about an update."""
        if text.startswith("update "):
            self.lines.append(text)


def train(case: Case, data: Path, folder: Path, observer: Warnings | None = None, **changes: Any) -> Any:
    """Train a case; None where the training stopped at a loss that is not finite."""
    options = {"threads": 1, "seed": case.seed, "quiet": True, "baselines": "fast", **case.options, **changes}
    try:
        return seriatim.train(case.task, data, out=folder, observer=observer, **options)
    except TrainingError:
        return None


def examine(case: Case, advice: bool) -> dict[str, Any]:
    """Train and inspect a case; with ``advice``, train again as the first check that names the fault advises."""
    with tempfile.TemporaryDirectory() as folder:
        data = case.write(Path(folder))
        warnings = Warnings()
        run = train(case, data, Path(folder) / "run", warnings)
        row: dict[str, Any] = {
            "task": case.task,
            "faults": list(case.faults),
            "seed": case.seed,
            "model": case.options["model"],
            "warned": warnings.lines,
        }
        if run is None:
            return {**row, "found": [TRAINING_STOPPED], "strict": [TRAINING_STOPPED]}
        checks = run.inspect()["checks"]
        findings = [check for check in checks if check["status"] in ("fault", "warning")]
        row |= {
            "found": [check["name"] for check in findings],
            "strict": [check["name"] for check in findings if check["status"] == "fault"],
        }
        if advice and len(case.faults) == 1:
            row |= follow(case, data, Path(folder), run, findings)
        return row


def follow(case: Case, data: Path, folder: Path, run: Any, findings: list[dict[str, Any]]) -> dict[str, Any]:
    """Train again with the advised flag; the best validation losses before and after."""
    named = [check for check in findings if check["name"] in NAMES[case.faults[0]] and check["advice"].startswith("--")]
    if not named or case.faults[0] in ("leak", "repeated"):  # an honest score is worse there, as it should be
        return {}
    flag, _, value = named[0]["advice"].partition(" ")
    name = flag.removeprefix("--").replace("-", "_")
    options = {name: _value(name, value)}
    if name == "model":
        options |= {"recurrent_init": "orthogonal", "activation": "tanh"}
    second_run = train(case, data, folder / "again", **options)
    losses = [_best(folder / "run"), _best(folder / "again") if second_run else None]
    return {"advice": named[0]["advice"], "before": losses[0], "after": losses[1]}


def _value(name: str, value: str) -> Any:
    """The value of a flag as the Python interface takes it."""
    if name == "truncation":
        return tuple(int(part) for part in value.split(","))
    if name in ("covariates", "channels"):
        return tuple(value.split(","))
    if name in ("model", "activation"):
        return value
    return float(value) if name in ("lr", "clip", "dropout", "forget_bias") else int(value)


def _best(folder: Path) -> float:
    """The best validation loss of a run."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    name = next(key for key in rows[0] if key in ("valid_nll", "valid_quantile_loss", "valid_rmse"))
    return min(row[name] for row in rows)


def is_named(row: dict[str, Any], fault: str) -> bool:
    """Whether the fault was named."""
    return TRAINING_STOPPED in row["found"] or bool({*row["found"]} & {*NAMES[fault]})


def is_accused(row: dict[str, Any]) -> bool:
    """Whether a sound run was accused."""
    return bool(row["strict"] or {*row["found"]} - {*SOFT})


def report(rows: list[dict[str, Any]]) -> None:
    """Print the confusion table and the shares."""
    planted = [row for row in rows if row["faults"]]
    sound = [row for row in rows if not row["faults"]]
    print(f"\n{'fault':<14}{'task':<10}{'named':<10}warned while training")
    for fault in NAMES:
        for task in RECIPES:
            matching = [row for row in planted if fault in row["faults"] and row["task"] == task]
            if matching:
                named, warned = (
                    sum(is_named(row, fault) for row in matching),
                    sum(bool(row["warned"]) for row in matching),
                )
                print(f"{fault:<14}{task:<10}{named} of {len(matching):<5}{warned}")
    answers = [is_named(row, fault) for row in planted for fault in row["faults"]]
    if answers:
        print(f"\nplanted faults named: {sum(answers)} of {len(answers)} ({percent(float(np.mean(answers)))})")
    if sound:
        accused = sum(map(is_accused, sound))
        print(f"sound runs accused: {accused} of {len(sound)} ({percent(accused / len(sound))})")
        warned = sum(bool(row["warned"]) for row in sound)
        print(f"sound runs warned while training: {warned} of {len(sound)} ({percent(warned / len(sound))})")
    helped = [row["after"] is not None and row["after"] < row["before"] for row in rows if "advice" in row]
    if helped:
        print(f"advice that helped: {sum(helped)} of {len(helped)} ({percent(float(np.mean(helped)))})")


def cases(options: argparse.Namespace) -> list[Case]:
    """The cases that the command line asks for."""
    held_out = options.data == "held-out"
    cases: list[tuple[str, tuple[str, ...]]] = [(task, ()) for task in RECIPES for _ in range(options.sound)]
    cases += [(task, (fault,)) for task, recipe in RECIPES.items() for fault in recipe.faults]
    cases += list(PAIRS)
    cases = [case for case in cases if held_out or case[0] not in HELD_OUT_TASKS]
    if options.tasks:
        cases = [case for case in cases if case[0] in options.tasks]
    if options.only:
        cases = [case for case in cases if {*case[1]} & {*options.only} or (not case[1] and "sound" in options.only)]
    counts: dict[tuple[str, tuple[str, ...]], int] = {}
    result = []
    for task, faults in cases:
        for _ in range(options.seeds):
            seed = counts[task, faults] = counts.get((task, faults), -1) + 1
            result.append(make(task, faults, seed, held_out))
    return result


def main() -> None:
    """Run the cases of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("development", "held-out"), default="held-out")
    parser.add_argument("--only", nargs="*", metavar="FAULT", help=f"sound, {', '.join(NAMES)}")
    parser.add_argument("--tasks", nargs="*", choices=RECIPES, help="only these tasks")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each case")
    parser.add_argument("--sound", type=int, default=4, help="sound cases of each task")
    parser.add_argument("--advice", action="store_true", help="follow the advice and compare")
    parser.add_argument("--json", type=Path, help="write every run to this file")
    options = parser.parse_args()
    rows = []
    for case in cases(options):
        row = examine(case, options.advice)
        print(json.dumps(row), flush=True)
        rows.append(row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    report(rows)


if __name__ == "__main__":
    main()
