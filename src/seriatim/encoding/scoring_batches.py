"""Batches that score each token of a text once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seriatim.notation import UNKNOWN

Tokens = NDArray[np.int32]
Batch = NDArray[np.int64]
Weights = NDArray[np.float32]


def scoring_batches(tokens: Tokens, rows: int, steps: int, warmup: int) -> Iterator[tuple[Batch, Batch, Weights]]:
    """Yield inputs, targets and weights ``[K, rows]`` that score each token exactly once, in ``rows`` parallel parts.

    Each part except the first begins with the ``warmup`` tokens before it. They have weight 0 and bring the state to
    the right value. Positions after the end of a part have weight 0 too. All others have weight 1, so the weights sum
    to the number of tokens. With one row the state is carried through the whole text.
    """
    count = len(tokens)
    rows = max(min(rows, count), 1)
    bounds = np.linspace(0, count, rows + 1).astype(np.int64)
    starts, ends = bounds[:-1], bounds[1:]
    leads = np.maximum(starts - warmup, 0)
    longest = int((ends - leads).max(initial=0))
    for step in range(0, longest, steps):
        positions = leads + np.arange(step, min(step + steps, longest))[:, None]
        inside = positions < ends
        targets = np.where(inside, tokens[np.minimum(positions, count - 1)], UNKNOWN)
        inputs = np.where(inside & (positions > 0), tokens[np.clip(positions - 1, 0, count - 1)], UNKNOWN)
        weights = (inside & (positions >= starts)).astype(np.float32)
        yield inputs.astype(np.int64), targets.astype(np.int64), weights
