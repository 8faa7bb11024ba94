"""Gradients through time.

A learner computes the gradient of one update and leaves it in ``.grad``. It owns nothing: what is carried from
one update to the next goes in as ``carry`` and comes out again.

    step(model, batch, carry) -> (loss, carry)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from seriatim.models.contract import Carry, Trainable


class Learner(ABC):
    """A rule that turns one batch into a gradient."""

    @abstractmethod
    def step(self, model: Trainable, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        """Leave the gradient of the mean loss of ``batch`` in ``.grad``; return the loss and what to carry on."""


@final
class WholeSequences(Learner):
    """BPTT: the exact gradient over whole sequences, each starting from a state of zeros (Werbos 1990)."""

    def step(self, model: Trainable, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        loss, _ = model.loss(batch, ())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), ()


@final
class Truncated(Learner):
    """Truncated BPTT(k, k): the state goes on to the next k steps, the gradient does not (Williams & Peng 1990).

    Batches must come in order, one stream per batch row; an empty carry starts the streams anew.
    """

    def step(self, model: Trainable, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        loss, state = model.loss(batch, carry)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), tuple(part.detach() for part in state)


LEARNERS: dict[str, Learner] = {"bptt": WholeSequences(), "tbptt": Truncated()}


def clip_norm(parameters: list[torch.nn.Parameter], threshold: float) -> float:
    """Scale all gradients together so that their norm is at most ``threshold``; 0 only measures (Pascanu 2013).

    Returns the norm before clipping.
    """
    limit = threshold if threshold > 0 else float("inf")
    return float(torch.nn.utils.clip_grad_norm_(parameters, limit))
