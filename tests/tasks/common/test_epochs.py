"""Epochs over examples."""

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


def batch_indices(batches: Any) -> list[list[int]]:
    return [batch.indices for batch in batches]


def chained(batches: list[list[int]]) -> list[int]:
    return [index for indices in batches for index in indices]


def test_epoch_contains_each_example_once_in_new_order() -> None:
    make = epochs(Lines(), LearningOptions(batch_size=8))
    first, second = batch_indices(make(0)), batch_indices(make(1))
    assert sorted(chained(first)) == sorted(chained(second)) == list(range(40)) and first != second
    assert first == batch_indices(make(0)) and {len(indices) for indices in first} == {8}
    assert first != batch_indices(epochs(Lines(), LearningOptions(batch_size=8, seed=1))(0))


def test_batches_are_limited_by_examples_and_padded_units() -> None:
    assert {len(indices) for indices in batch_indices(epochs(Lines(), LearningOptions(), batch_size=5)(0))} == {5}
    batches = batch_indices(epochs(Lines(), LearningOptions(batch_size=8), batch_tokens=60)(0))
    assert all(len(indices) * (max(indices) + 1) <= 60 for indices in batches) and sorted(chained(batches)) == list(
        range(40)
    )


def test_evaluation_batches_begin_with_the_longest() -> None:
    assert chained(batch_indices(evaluation_batches(Lines(), 7))) == list(range(40))[::-1]


@pytest.mark.parametrize("task", ["classify", "regress"])
def test_sequences_are_batched_by_length(task: str, tmp_path: Path) -> None:
    data = [np.full((2, 1), place % 2) for place in range(20)], [place % 2 for place in range(20)]
    small: dict[str, Any] = {"hidden": 2, "epochs": 1, "baselines": "none", "quiet": True, "threads": 1}
    run = seriatim.train(task, data, batch_tokens=4, out=str(tmp_path / "run"), **small)
    (row,) = map(json.loads, (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    assert row["step"] == run.result["data"]["train"] / 2
