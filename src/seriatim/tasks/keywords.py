"""The options of every task as one typed dictionary, so that editors and type checkers know ``seriatim.train``'s words.

A copy, on purpose, of the names and types in ``tasks/options``: a type checker cannot read dataclass fields as
keywords. ``tests/tasks/test_keywords.py`` holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class TrainKeywords(TypedDict, total=False):
    """Every option of every task; each task refuses those that are not its own."""

    epochs: int | None
    time_limit: str | float | None
    patience: int
    batch_size: int
    optimizer: str
    lr: float
    schedule: str
    weight_decay: float
    clip: float
    learner: str
    truncation: int
    precision: str
    threads: int | None
    seed: int
    checkpoint_every: int
    model: str
    hidden: int
    layers: int
    bidirectional: bool
    dropout: float
    locked_dropout: float
    activation: str
    recurrent_init: str
    forget_bias: float
    embedding: int | None
    valid: str | None
    test: str | None
    out: str | None
    resume: bool
    baselines: str
    quiet: bool
    unit: str
    vocab_size: int | None
    tie: bool
    restart: float
    order: int | None
    context: int
    text: str | None
    label: str | None
    channels: str | Sequence[str]
    id: str | None
    time: str | None
    group: str | None
    drop_duplicates: bool
    header: bool
    pool: str
    target: str | Sequence[str]
    horizon: int
    lookback: int | None
    covariates: str | Sequence[str]
    season: int
    missing: str
    origins: int
    split: str | Sequence[int]
    strategy: str
    normalize: str
    lags: int | None
