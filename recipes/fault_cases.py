"""Cases of ``planted_faults.py``: the sound options of each task, and what each fault changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fault_data import amounts, sentences, sequences, series, text

Options = dict[str, Any]

CELLS = ("lstm", "gru", "rnn")


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


GATES_AND_RATES: Mapping[str, tuple[Options, Options]] = {
    "gates_open": ({}, {"model": "lstm", "forget_bias": 15.0}),
    "gates_shut": ({}, {"model": "lstm", "forget_bias": -15.0}),
    "rate_high": ({}, {"lr": 0.5}),
    "rate_low": ({}, {"lr": 1e-6}),
}

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
            **GATES_AND_RATES,
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
            **GATES_AND_RATES,
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
            **GATES_AND_RATES,
            "constant": ({"constant": True}, {}),
            "repeated": ({"repeated": True}, {}),
        },
    ),
    "tag": Recipe(
        sentences,
        {"epochs": 20, "batch_size": 8, "lr": 5e-3, "bidirectional": False, "characters": "none", "dropout": 0.0},
        {
            **GATES_AND_RATES,
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
