"""How far back a model uses its context: what its loss gains when earlier context is taken away (Khandelwal 2018).

    excess(k) = mean over rows of [ loss with the context beyond the last k steps ablated - loss with all of it ]

Three ways to ablate show different things:

    cut       the model begins k steps before the end, from the zero state
    shuffle   the steps beyond the last k come in random order: what remains is which values occurred
    drop      the steps beyond the last k have a neutral value: what remains is how many there were

It is behaviour, where a gradient is local: it counts what the model uses, not what it could be moved by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seriatim.errors import UsageError, nearest
from seriatim.insight.gradients import Losses
from seriatim.insight.horizon import SHARE, Horizon

WAYS = ("cut", "shuffle", "drop")


@dataclass(frozen=True)
class Ablation:
    """The excess loss by how many steps of context were left."""

    way: str
    contexts: tuple[int, ...]
    """k, rising."""
    excess: tuple[float, ...]
    """Mean excess loss at each k."""
    error: tuple[float, ...]
    """Standard error of each mean."""
    steps: int
    """Length of the whole context."""

    def horizon(self, share: float = SHARE) -> Horizon:
        """Return the smallest k from which on ablation costs no more than ``share`` of what it costs at the smallest k.

        A cost within two standard errors of zero counts as none: it cannot be seen with so few rows.
        """
        worst = max(self.excess, default=0.0)
        if worst <= 2 * self.error[self.excess.index(worst)]:
            return Horizon(0.0, False)
        for index in reversed(range(len(self.contexts))):
            if self.excess[index] > max(share * worst, 2 * self.error[index]):
                if index + 1 == len(self.contexts):
                    return Horizon(float(self.contexts[index]), True)
                return Horizon(float(self.contexts[index + 1]), False)
        return Horizon(0.0, False)


def ablate(
    losses: Losses,
    inputs: Tensor,
    contexts: Sequence[int],
    way: str = "cut",
    *,
    neutral: Tensor | None = None,
    seed: int = 0,
) -> Ablation:
    """Measure the excess loss at each number of steps in ``contexts``, for inputs [T, B, C].

    ``neutral`` [C] is the value for ``drop`` (None: the mean of the inputs). Raises ``UsageError`` for an unknown way.

    >>> echo = lambda x: (x[-2:].sum(0)[:, 0] - 2).square()      # uses the last two steps
    >>> ablate(echo, torch.ones(9, 4, 1), [1, 2, 3]).excess
    (1.0, 0.0, 0.0)
    """
    if way not in WAYS:
        raise UsageError(f"way: got '{way}'{nearest(way, WAYS)}")
    steps, rows = inputs.shape[:2]
    neutral = inputs.mean((0, 1)) if neutral is None else neutral
    generator = torch.Generator().manual_seed(seed)
    counts = sorted({k for k in contexts if 1 <= k <= steps})
    means, errors = [], []
    with torch.no_grad():
        whole = losses(inputs).double()
        for k in counts:
            more = losses(_ablated(inputs, k, way, neutral, generator)).double() - whole
            means.append(float(more.mean()))
            errors.append(float(more.std() / rows**0.5) if rows > 1 else 0.0)
    return Ablation(way, tuple(counts), tuple(means), tuple(errors), steps)


def default_contexts(steps: int) -> tuple[int, ...]:
    """Return about twenty numbers of steps from 1 to ``steps``, geometrically spaced.

    >>> default_contexts(6)
    (1, 2, 3, 4, 6)
    """
    return tuple(int(k) for k in np.unique(np.geomspace(1, steps, min(20, steps)).round().astype(int)))


def _ablated(inputs: Tensor, k: int, way: str, neutral: Tensor, generator: torch.Generator) -> Tensor:
    steps, rows, width = inputs.shape
    early, late = inputs[: steps - k], inputs[steps - k :]
    if way == "cut" or not len(early):
        return late
    if way == "drop":
        return torch.cat([neutral.expand_as(early), late])
    order = torch.rand(steps - k, rows, generator=generator).argsort(0)
    return torch.cat([early.gather(0, order[..., None].expand(-1, -1, width)), late])
