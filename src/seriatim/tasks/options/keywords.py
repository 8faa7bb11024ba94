"""The options of all tasks as a typed dictionary, for editors and type checkers that read calls of ``seriatim.train``.

This repeats the names and types of ``tasks/options``, because a type checker cannot read dataclass fields as keyword
arguments. ``tests/tasks/test_keywords.py`` compares both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class WritingKeywords(TypedDict, total=False):
    """Options of writing texts, which ``evaluate`` and ``predict`` may override."""

    beam_size: int
    n_best: int
    length_penalty: float
    max_length: int | None
    alignment: bool


class TrainKeywords(TypedDict, total=False):
    """The options of all tasks. Each task refuses the options of other tasks."""

    epochs: int | None
    time_limit: str | float | None
    patience: int
    batch_size: int
    optimizer: str
    lr: float | str
    schedule: str
    warmup: int
    weight_decay: float
    average: float
    clip: float
    clip_value: float
    learner: str
    truncation: int | str | Sequence[int]
    memory: str | float
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
    reset_gate: str
    peephole: bool
    coupled: bool
    projection: int | None
    layer_norm: bool
    zoneout: float
    recurrent_dropout: float
    weight_drop: float
    residual: str
    convolution: int
    recurrent_init: str
    forget_bias: float
    chrono: int | None
    heads: int
    span: int
    positions: str
    kernel: int
    embedding: int | None
    valid: str | None
    test: str | None
    out: str | None
    resume: bool
    baselines: str
    blend: str
    ensemble: int
    log: str | None
    quiet: bool
    unit: str
    vocab_size: int | None
    vectors: str | None
    freeze_vectors: bool
    subwords: bool
    subword_buckets: int
    tie: bool
    softmax: str
    documents: str
    restart: float
    order: int | None
    context: int
    text: str | None
    label: str | None
    sound: str | None
    sample_rate: int | None
    frame: float
    hop: float
    mels: int
    channels: str | Sequence[str]
    id: str | None
    time: str | None
    date_format: str | None
    group: str | None
    drop_duplicates: bool
    header: bool
    normalize: str
    augment: bool
    pool: str
    target: str | Sequence[str]
    horizon: int
    lookback: int | None
    target_cap: float | None
    every_step: bool
    covariates: str | Sequence[str]
    season: int
    missing: str
    origins: int
    valid_windows: int | str
    split: str | Sequence[int]
    strategy: str
    start: str
    segment: int
    lags: int | None
    column: str | None
    words: str | None
    batch_tokens: int
    lowercase: bool
    characters: str
    spelling: int
    word_dropout: float
    crf: bool
    source: str | None
    source_file: str | None
    target_file: str | None
    embedding_start: float | None
    output_start: float | None
    reverse: bool
    peeky: bool
    attention: str
    teacher_forcing: float
    beam_size: int
    n_best: int
    length_penalty: float
    max_length: int | None
    alignment: bool
    image: str | None
    features: str | None
    image_size: int
    grey: bool
    filters: int
