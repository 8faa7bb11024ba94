"""One client's program, plain and accelerated, by turns in one process.

``clients.py`` runs this file with the Python of the client's environment, and reads the JSON that it writes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

import seriatim
from seriatim.bench.paired_timing import Spread

Change = Callable[[torch.nn.Module], object]


def load_client(file: Path) -> ModuleType:
    """Import a client's file under a name that hides no package: several are named as the package that they use."""
    spec = importlib.util.spec_from_file_location(f"client_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pickle finds the classes there
    spec.loader.exec_module(module)
    return module


def compare(client: ModuleType, rounds: int) -> dict[str, Any]:
    """Run the client's program plain and accelerated, ``rounds`` times after one round that is not timed.

    Each run begins with the same seed. ``difference`` is the largest difference of the numbers that the two return,
    divided by the largest plain number; ``plain_again`` is the same for two plain runs.
    """
    changed: dict[str, str] = {}
    left: dict[str, str] = {}

    def accelerate(model: torch.nn.Module) -> object:
        report = seriatim.accelerate(model)
        changed.update(report.changed)
        left.update(report.left)
        return report

    sides: dict[str, Change] = {"plain": lambda model: None, "accelerated": accelerate}
    numbers: dict[str, list[np.ndarray]] = {side: [] for side in sides}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(rounds + 1):
        for side in sorted(sides, reverse=turn % 2 == 0):
            torch.manual_seed(0)
            np.random.seed(0)
            program = client.prepare(sides[side])
            began = time.perf_counter()
            result = program()
            seconds[side].append(time.perf_counter() - began)
            numbers[side].append(np.asarray(result, np.float64).ravel())
    plain, again = numbers["plain"][:2]
    ratios = [slow / fast for slow, fast in zip(seconds["plain"][1:], seconds["accelerated"][1:], strict=True)]
    return {
        "changed": changed, "left": left, "numbers": len(plain),
        "difference": _difference(plain, numbers["accelerated"][0]),
        "plain_again": _difference(plain, again), "plain_seconds": Spread.of(seconds["plain"][1:]).median,
        "ratio": Spread.of(ratios).to_json(), "first_seconds": {side: seconds[side][0] for side in sides},
    }  # fmt: skip


def _difference(plain: np.ndarray, other: np.ndarray) -> float:
    if plain.shape != other.shape or not np.isfinite(plain).all():
        raise ValueError(f"the two sides returned {plain.shape} and {other.shape}, or numbers that are not finite")
    return float(np.abs(plain - other).max() / np.abs(plain).max())


def main() -> None:
    """Run one client and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client", type=Path, help="file of the client")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    client = load_client(arguments.client)
    row = compare(client, arguments.rounds)
    version = importlib.metadata.version(client.DISTRIBUTION)
    arguments.json.write_text(json.dumps({"version": version, "threads": arguments.threads, **row}), encoding="utf-8")


if __name__ == "__main__":
    main()
