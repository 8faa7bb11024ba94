"""Small streams for online estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from seriatim.online import OnlineClassifier, OnlineRegressor

Stream = list[tuple[dict[str, float], Any]]


def _rows(kind: type, count: int, seed: int = 0) -> Stream:
    """Return a stream with three features per step. The target depends on the step before too."""
    values = np.random.default_rng(seed).normal(5.0, 3.0, (count + 1, 3))
    sums = values[:-1, 0] + values[1:, 1]
    names = ("a", "b", "c")
    targets: list[Any] = [str(bool(total > 10)) for total in sums] if kind is OnlineClassifier else sums.tolist()
    return [(dict(zip(names, row.tolist(), strict=True)), y) for row, y in zip(values[1:], targets, strict=True)]


@pytest.fixture(params=[OnlineClassifier, OnlineRegressor], ids=["classifier", "regressor"])
def kind(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Each class of estimators."""
    yield request.param


@pytest.fixture
def rows() -> Callable[..., Stream]:
    """A function that makes a stream of ``count`` steps for a class of estimators."""
    return _rows
