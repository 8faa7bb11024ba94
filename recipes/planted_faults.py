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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import seriatim
from seriatim.errors import TrainingError
from seriatim.learning.observer import Silent
from seriatim.percent import percent

Options = dict[str, Any]
Array = np.ndarray[Any, Any]

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
CELLS = ("lstm", "gru", "rnn")
TRAINING_STOPPED = "training stopped"


@dataclass(frozen=True)
class Case:
    """A run to train: data are written by ``write`` into a folder."""

    faults: tuple[str, ...]
    task: str
    seed: int
    write: Callable[[Path], Path]
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How one task is set up: its sound options, and what each fault changes."""

    write: Callable[..., Path]
    options: Options
    faults: Mapping[str, tuple[Options, Options]]
    """Fault → changes of the data's arguments, changes of the options."""


def text(folder: Path, *, kind: str, seed: int, period: int = 0, shuffled: bool = False, length: int = 16_000) -> Path:
    """A text over eight letters."""
    generator = np.random.default_rng(seed)
    if period or kind == "A":
        period = period or int(generator.integers(6, 10))
        letters = list(generator.integers(0, 8, period))
        for step in range(period, length):
            letters.append(int(generator.integers(0, 8)) if generator.random() < 0.05 else letters[step - period])
    else:
        chances = generator.dirichlet(np.full(8, 0.15), (8, 8))
        if kind == "C":
            chances[:] = chances[:, :1]
        letters = [0, 1]
        for _ in range(length - 2):
            letters.append(int(generator.choice(8, p=chances[letters[-2], letters[-1]])))
    if shuffled:
        generator.shuffle(letters)
    file = folder / "text.txt"
    file.write_text("".join("abcdefgh"[letter] for letter in letters), encoding="utf-8")
    return file


def series(
    folder: Path, *, kind: str, seed: int, leak: bool = False, constant: bool = False, shuffled: bool = False,
    period: int = 0, length: int = 700,
) -> Path:  # fmt: skip
    """A table of a target ``y`` with a season, and of covariates ``a`` (noise), and ``b`` if there is a fault in it."""
    generator = np.random.default_rng(seed)
    period = period or int(generator.integers(8, 16))
    steps = np.arange(length)
    if kind == "C":
        y = generator.standard_normal(length)
        for step in range(2, length):
            y[step] += 2 * 0.97 * np.cos(2 * np.pi / period) * y[step - 1] - 0.97**2 * y[step - 2]
    elif kind == "B":
        noise = generator.standard_normal(length)
        for step in range(1, length):
            noise[step] += 0.6 * noise[step - 1]
        y = 3 * (steps % period) / period + 0.3 * noise
    else:
        y = np.sin(2 * np.pi * steps / period) + 0.2 * generator.standard_normal(length)
    if shuffled:
        generator.shuffle(y)
    columns = {"y": y, "a": generator.standard_normal(length)}
    if leak:
        columns["b"] = np.append(y[1:], y[-1]) * 2 + 5
    if constant:
        columns["b"] = np.full(length, 4.0)
    file = folder / "series.csv"
    lines = [
        ",".join(columns),
        *(",".join(f"{value:.5f}" for value in row) for row in zip(*columns.values(), strict=True)),
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def sequences(
    folder: Path, *, kind: str, seed: int, constant: bool = False, wrong_labels: bool = False,
    repeated: bool = False, number: int = 360,
) -> Path:  # fmt: skip
    """A table of sequences with two channels, and a class each."""
    generator = np.random.default_rng(seed)
    length = int(generator.integers(15, 30))
    labels = generator.integers(0, 2, number)
    lines = ["id,p,q,label"]
    labels_written = generator.permutation(labels) if wrong_labels else labels
    copies: list[str] = []
    for index, label in enumerate(labels):
        noise = 0.5 * generator.standard_normal((length, 2))
        if kind == "C":
            first, second = np.sort(generator.choice(length, 2, replace=False))
            noise[first, 0] += 4 * (1 if label else -1)
            noise[second, 0] -= 4 * (1 if label else -1)
        elif kind == "B":
            noise[:, 0] += np.sin((0.5 + 0.8 * label) * np.arange(length) + 6 * generator.random())
        else:
            noise[:, 0] += 1.5 * label * (np.arange(length) > length // 2)
        if constant:
            noise[:, 1] = 2.0
        name = "yes" if labels_written[index] else "no"
        rows = [f"{p:.4f},{q:.4f},{name}" for p, q in noise]
        lines += [f"{index},{row}" for row in rows]
        if repeated and index % 2:
            copies += [f"{number + index},{row}" for row in rows]
    file = folder / "sequences.csv"
    file.write_text("\n".join(lines + copies), encoding="utf-8")
    return file


def amounts(
    folder: Path, *, kind: str, seed: int, constant: bool = False, wrong_labels: bool = False,
    repeated: bool = False, number: int = 360,
) -> Path:  # fmt: skip
    """A table of sequences with a pulse in each of two channels, and the sum of the pulses' heights."""
    generator = np.random.default_rng(seed)
    length = int(generator.integers(15, 30))
    lines, copies = ["id,p,q,amount"], []
    heights = generator.uniform(-3, 3, (number, 2))
    written = heights.sum(1)[generator.permutation(number)] if wrong_labels else heights.sum(1)
    for index, (first, second) in enumerate(heights):
        values = 0.2 * generator.standard_normal((length, 2))
        values[generator.integers(length), 0] += first
        values[generator.integers(length), 1] += second
        if constant:
            values[:, 1] = 2.0
        rows = [f"{p:.4f},{q:.4f},{written[index]:.4f}" for p, q in values]
        lines += [f"{index},{row}" for row in rows]
        if repeated and index % 2:
            copies += [f"{number + index},{row}" for row in rows]
    file = folder / "amounts.csv"
    file.write_text("\n".join(lines + copies), encoding="utf-8")
    return file


def sentences(
    folder: Path, *, kind: str, seed: int, wrong_labels: bool = False, repeated: bool = False, number: int = 500
) -> Path:
    """Sentences of letters; a letter's tag also depends on the letter before it."""
    generator = np.random.default_rng(seed)
    rule = generator.integers(0, 4, (9, 8))
    blocks = []
    for index in range(number):
        letters = generator.integers(0, 8, int(generator.integers(6, 16)))
        before = np.concatenate([[8], letters[:-1]])
        tags = generator.permutation(rule[before, letters]) if wrong_labels else rule[before, letters]
        rows = [f"{'abcdefgh'[letter]}\t{'STUV'[tag]}" for letter, tag in zip(letters, tags, strict=True)]
        blocks += ["\n".join(rows)] * (2 if repeated and index % 2 else 1)
    file = folder / "sentences.tsv"
    file.write_text("\n\n".join(blocks), encoding="utf-8")
    return file


RECIPES: Mapping[str, Recipe] = {
    "language": Recipe(
        text,
        {
            "epochs": 8,
            "batch_size": 16,
            "truncation": (40,),
            "lr": 5e-3,
            "schedule": "plateau",
            "layer_norm": False,
            "layers": 1,
        },
        {
            "truncation": ({"period": 30}, {"truncation": (8,)}),
            "gates_open": ({}, {"model": "lstm", "forget_bias": 15.0}),
            "gates_shut": ({}, {"model": "lstm", "forget_bias": -15.0}),
            "vanishing": ({"period": 30}, {"model": "rnn", "recurrent_init": "uniform", "truncation": (60,)}),
            "exploding": (
                {},
                {"model": "rnn", "activation": "relu", "recurrent_init": "identity", "clip": 0.0, "lr": 0.03},
            ),
            "rate_high": ({}, {"lr": 0.5}),
            "rate_low": ({}, {"lr": 2e-6}),
            "shuffled": ({"shuffled": True}, {}),
        },
    ),
    "forecast": Recipe(
        series,
        {
            "target": ("y",),
            "covariates": ("a",),
            "horizon": 4,
            "lookback": 32,
            "start": "seasonal_naive",  # from a fitted AR, which is the true model of the cycles, nothing is gained
            "epochs": 12,
            "lr": 3e-3,
        },
        {
            "lookback": ({"period": 20}, {"lookback": 5, "season": 20}),
            "gates_open": ({}, {"model": "lstm", "forget_bias": 15.0}),
            "gates_shut": ({}, {"model": "lstm", "forget_bias": -15.0}),
            "rate_high": ({}, {"lr": 0.5}),
            "rate_low": ({}, {"lr": 1e-6}),
            "dead": ({}, {"model": "rnn", "activation": "relu", "lr": 0.5}),
            "leak": ({"leak": True}, {"covariates": ("a", "b")}),
            "constant": ({"constant": True}, {"covariates": ("a", "b")}),
            "season": ({}, {"season": 5}),
            "shuffled": ({"shuffled": True}, {"season": 1}),
        },
    ),
    "classify": Recipe(
        sequences,
        {
            "channels": ("p", "q"),
            "id": "id",
            "label": "label",
            "epochs": 20,
            "batch_size": 8,
            "lr": 5e-3,
            "dropout": 0.0,
            "baselines": "fast",
        },
        {
            "gates_open": ({}, {"model": "lstm", "forget_bias": 15.0}),
            "gates_shut": ({}, {"model": "lstm", "forget_bias": -15.0}),
            "rate_high": ({}, {"lr": 0.5}),
            "rate_low": ({}, {"lr": 1e-6}),
            "constant": ({"constant": True}, {}),
            "labels": ({"wrong_labels": True}, {}),
            "repeated": ({"repeated": True}, {}),
        },
    ),
    "regress": Recipe(
        amounts,
        {
            "channels": ("p", "q"),
            "id": "id",
            "target": "amount",
            "epochs": 20,
            "batch_size": 8,
            "lr": 5e-3,
            "dropout": 0.0,
        },
        {
            "gates_open": ({}, {"model": "lstm", "forget_bias": 15.0}),
            "gates_shut": ({}, {"model": "lstm", "forget_bias": -15.0}),
            "rate_high": ({}, {"lr": 0.5}),
            "rate_low": ({}, {"lr": 1e-6}),
            "constant": ({"constant": True}, {}),
            "repeated": ({"repeated": True}, {}),
        },
    ),
    "tag": Recipe(
        sentences,
        {"epochs": 20, "batch_size": 8, "lr": 5e-3, "bidirectional": False, "characters": "none", "dropout": 0.0},
        {
            "gates_open": ({}, {"model": "lstm", "forget_bias": 15.0}),
            "gates_shut": ({}, {"model": "lstm", "forget_bias": -15.0}),
            "rate_high": ({}, {"lr": 0.5}),
            "rate_low": ({}, {"lr": 1e-6}),
            "repeated": ({"repeated": True}, {}),
        },
    ),
}
HELD_OUT_TASKS = ("regress", "tag")
"""Tasks that had no part in the choice of thresholds: they have no development data."""
PAIRS = (
    ("forecast", ("leak", "season")), ("forecast", ("constant", "gates_shut")),
    ("language", ("truncation", "gates_shut")), ("classify", ("constant", "labels")),
    ("classify", ("repeated", "gates_open")),
)  # fmt: skip


def make(task: str, faults: tuple[str, ...], seed: int, held_out: bool) -> Case:
    """Set up a case."""
    recipe = RECIPES[task]
    generator = np.random.default_rng((seed, held_out))
    options = {
        "model": CELLS[int(generator.integers(3))],
        "hidden": int(generator.choice([16, 24, 32])),
        **recipe.options,
    }
    kind = "C" if held_out else "AB"[seed % 2]
    arguments: Options = {"kind": kind, "seed": seed + 1000 * held_out}
    if task == "forecast":
        arguments["period"] = int(generator.integers(8, 16))
        options["season"] = arguments["period"]
    if task in ("classify", *HELD_OUT_TASKS) and "repeated" not in faults:
        options["drop_duplicates"] = True
    for fault in faults:
        changed, fault_options = recipe.faults[fault]
        arguments |= changed
        options |= fault_options
    return Case(faults, task, seed, lambda folder: recipe.write(folder, **arguments), options)


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
