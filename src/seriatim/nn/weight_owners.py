"""Which unit a weight belongs to: what cheap gradients forward in time ask of a layer.

A layer whose weights each reach one unit of its own state in one step, as ∂s_t/∂θ at a given s_{t-1}, tells so with
``owners``. Where moreover no unit's next state depends on another's state (``diagonal``: h_t = a_t ⊙ h_{t-1} + b_t
with a_t and b_t of the input alone), what a weight does to the state for ever after stays in its unit, and exact RTRL
is one number per weight and part of the state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from seriatim.ops.recurrence import using


@runtime_checkable
class Unitwise(Protocol):
    """A recurrent layer, or a stack of them, with state parts [L, B, H]."""

    @property
    def recurrent_states(self) -> tuple[int, ...]:
        """Which parts of the state the next step reads; the others (an LRU's h) only go out."""

    @property
    def diagonal(self) -> bool:
        """Whether the recurrence is element-wise."""

    def owners(self) -> dict[str, Tensor]:
        """For each parameter, in its shape, the unit l·H + i of every weight (int64).

        Raises ``UsageError`` where weights reach several units of their layer in one step.
        """


@contextmanager
def plain_steps() -> Iterator[None]:
    """Recurrences in plain operations and full precision, which PyTorch can differentiate in any way."""
    with using("composed"), torch.autocast("cpu", enabled=False):
        yield
