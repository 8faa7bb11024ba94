"""Passes over examples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seriatim
from seriatim.learning.options import LearningOptions
from seriatim.tasks.common.epochs import epochs, evaluation_batches

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Batch:
    indices: list[int]

    @property
    def units(self) -> int:
        return len(self.indices)


class Lines:
    lengths = np.arange(1, 41)

    def batch(self, indices: Array) -> Batch:
        return Batch(indices.tolist())


def seen(batches: Any) -> list[list[int]]:
    return [one.indices for one in batches]


def chained(batches: list[list[int]]) -> list[int]:
    return [index for one in batches for index in one]


def test_every_example_once_in_another_order_each_time() -> None:
    make = epochs(Lines(), LearningOptions(batch_size=8))
    first, second = seen(make(0)), seen(make(1))
    assert sorted(chained(first)) == sorted(chained(second)) == list(range(40)) and first != second
    assert first == seen(make(0)) and {len(one) for one in first} == {8}
    assert first != seen(epochs(Lines(), LearningOptions(batch_size=8, seed=1))(0))


def test_batches_are_bounded_by_examples_and_by_what_they_hold_padded() -> None:
    assert {len(one) for one in seen(epochs(Lines(), LearningOptions(), batch_size=5)(0))} == {5}
    batches = seen(epochs(Lines(), LearningOptions(batch_size=8), batch_tokens=60)(0))
    assert all(len(one) * (max(one) + 1) <= 60 for one in batches) and sorted(chained(batches)) == list(range(40))


def test_evaluation_batches_the_longest_come_first() -> None:
    assert chained(seen(evaluation_batches(Lines(), 7))) == list(range(40))[::-1]


@pytest.mark.parametrize("task", ["classify", "regress"])
def test_whole_sequences_are_batched_by_their_steps(task: str, tmp_path: Path) -> None:
    data = [np.full((2, 1), place % 2) for place in range(20)], [place % 2 for place in range(20)]
    small: dict[str, Any] = {"hidden": 2, "epochs": 1, "baselines": "none", "quiet": True, "threads": 1}
    run = seriatim.train(task, data, batch_tokens=4, out=str(tmp_path / "run"), **small)
    (row,) = map(json.loads, (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    assert row["step"] == run.result["data"]["train"] / 2
