"""The range test, which finds the learning rates that a model can take (Smith 2017)."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seriatim.errors import UsageError
from seriatim.learning.clipping import clip_norm, clip_value
from seriatim.learning.learners import make_learner
from seriatim.learning.optimization import make_optimizer
from seriatim.learning.options import LearningOptions
from seriatim.models.contract import BatchT, Carry, Trainable

DIVERGED = 3.0
"""The test ends when the loss has risen by this many times its first value."""
MEMORY = 0.9
"""The weight of the old mean in the running mean that smooths the losses."""
LAG = round(MEMORY / (1 - MEMORY))
"""The number of updates by which that mean is late."""


@dataclass(frozen=True)
class Range:
    """The result of a range test. The rates rise, with equal steps of their logarithm."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """The smoothed losses."""
    diverged: bool
    """Whether the loss diverged at the last rate."""

    @property
    def steepest(self) -> float:
        """The rate at which the loss fell fastest, with the lag subtracted: a good start for ``lr``."""
        slopes = np.gradient(np.asarray(self.losses))
        return self.rates[max(int(np.argmin(slopes)) - LAG, 0)]

    @property
    def largest(self) -> float:
        """The rate of the lowest loss. Above it, training gains nothing more."""
        return self.rates[int(np.argmin(self.losses))]


def range_test(
    model: Trainable[BatchT],
    batches: Iterable[BatchT],
    options: LearningOptions,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    updates: int = 100,
) -> Range:
    """Train a copy of ``model`` with a rate that rises from ``low`` to ``high``. The model itself does not change.

    ``batches`` are taken in order, and again from the first when they end. Learner, optimizer and clipping follow
    ``options``. The test ends early if the smoothed loss has risen by ``DIVERGED`` times its first value or is not
    finite. The random state is restored afterwards. Raises ``UsageError`` for a range that does not rise, or for fewer
    than 5 updates.
    """
    if not 0 < low < high or updates < 5:
        raise UsageError(f"range: got {updates} updates from {low:g} to {high:g}, wanted 5 or more, from low to high")
    trained = copy.deepcopy(model).train()
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(parameters, dataclasses.replace(options, lr=low))
    learner, mean = make_learner(options), 0.0
    carry: Carry = ()
    rates: list[float] = []
    losses: list[float] = []
    generator_state = torch.get_rng_state()
    for update, batch in zip(range(updates), itertools.cycle(batches), strict=False):
        rate = low * (high / low) ** (update / (updates - 1))
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            loss, carry = learner.step(trained, batch, carry)
        norm = clip_norm(parameters, options.clip)
        clip_value(parameters, options.clip_value)
        mean = MEMORY * mean + (1 - MEMORY) * float(loss)
        smooth = mean / (1 - MEMORY ** (update + 1))
        first = losses[0] if losses else smooth
        if not (math.isfinite(smooth) and math.isfinite(norm)) or smooth - first > DIVERGED * abs(first):
            break
        rates.append(rate)
        losses.append(smooth)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    torch.set_rng_state(generator_state)
    if len(rates) < 2:
        raise UsageError(f"low: the loss diverged at {low:g}, the lowest rate; give a lower one")
    return Range(tuple(rates), tuple(losses), len(rates) < updates)


def find_learning_rate(model: Trainable[BatchT], epoch: Sequence[BatchT], options: LearningOptions) -> float:
    """Return a learning rate to start with: the rate of the steepest fall, to two figures.

    The random draws of the training that follows do not change.
    """
    batches = (epoch[update % len(epoch)] for update in itertools.count())
    return float(f"{range_test(model, batches, options).steepest:.1e}")
