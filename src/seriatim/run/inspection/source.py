"""Input and output of the functions that gather evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seriatim.insight.alignment import Alignment
from seriatim.insight.breakdown import Breakdown
from seriatim.insight.calibration import Calibration
from seriatim.insight.data import DataMeasures
from seriatim.insight.evidence import Limit
from seriatim.insight.followers import Follower
from seriatim.insight.information import LagInformation
from seriatim.insight.probe import Probe
from seriatim.insight.sample import Sample
from seriatim.tasks.options import TrainOptions

Array = np.ndarray[Any, Any]

ROWS, FEWEST_ROWS = 128, 16
"""Sequences that a network is measured on: the first number, or fewer where it is large."""
STATES = 10_000_000
"""Rows · steps · hidden units that a pass may have: some 300 MB of an LSTM's intermediate values."""
STEPS = 300
"""Steps of them that are read at most."""
SAMPLES = 4
"""Sequences whose steps are attributed …"""
SAMPLE_STEPS = 100
"""… and how many of their last steps."""


@dataclass(frozen=True)
class Source:
    """A run with its data."""

    options: TrainOptions
    codec: Any
    network: Any
    """The fitted model; only a network has a ``Probe``."""
    train: Any
    """The training part, in the task's own form."""
    test: Any
    """The test part; the training part itself where the data are new and not split."""


@dataclass(frozen=True)
class Gathered:
    """The evidence on a run that depends on its task."""

    data: DataMeasures
    limit: Limit | None
    probe: Probe | None = None
    samples: tuple[Sample, ...] = ()
    followers: tuple[Follower, ...] = ()
    calibration: Calibration | None = None
    alignments: tuple[Alignment, ...] = ()
    breakdowns: tuple[Breakdown, ...] = ()
    residuals: LagInformation | None = None
    features: tuple[tuple[str, float], ...] = ()


def rows_for(options: TrainOptions, steps: int) -> int:
    """Return how many sequences of ``steps`` steps to measure a network on."""
    return max(FEWEST_ROWS, min(ROWS, STATES // (max(steps, 1) * options.hidden * options.layers)))


def longest_rows(lengths: Array, steps: int, limit: int) -> Array:
    """Return at most ``limit`` rows, evenly spaced, among those with at least ``steps`` steps."""
    rows: Array = np.flatnonzero(lengths >= steps)
    chosen: Array = rows[spaced(len(rows), limit)]
    return chosen


def spaced(count: int, limit: int) -> Array:
    """Return at most ``limit`` of the indices below ``count``, evenly spaced."""
    indices: Array = np.unique(np.linspace(0, count - 1, min(limit, count)).astype(np.int64))
    return indices
