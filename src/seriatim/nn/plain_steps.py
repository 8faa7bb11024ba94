"""A context in which layers compute with plain operations, for derivatives that fused operations do not have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from seriatim.ops.recurrence import using


@contextmanager
def plain_steps() -> Iterator[None]:
    """Run recurrences step by step in plain operations and full precision, which PyTorch differentiates in any way."""
    with using("composed"), torch.autocast("cpu", enabled=False):
        yield
