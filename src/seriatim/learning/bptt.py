"""Backpropagation through time (BPTT), over whole sequences or over the last steps of a stream."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

from seriatim.learning.learner import Learner, SegmentSize, require_stream
from seriatim.models.contract import BatchT, Carry, Segment, StreamModel, Trainable


@final
class BPTT(Learner):
    """The exact gradient over whole sequences. Each starts from a state of zeros (Werbos 1990)."""

    @property
    def segment(self) -> None:
        return None

    def step(self, model: Trainable[BatchT], batch: BatchT, carry: Carry) -> tuple[Tensor, Carry]:
        loss, _ = model.loss(batch, ())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), ()


@final
class TruncatedBPTT(Learner):
    """Truncated BPTT(k1, k2): an update every k1 steps, by a gradient through the last k2 (Williams & Peng 1990).

    Batches must come in order, with one stream per row and k1 new steps each (fewer at the end of an epoch). An empty
    carry starts the streams. The state is carried from batch to batch, the gradient is not:

        k1 = k2    each step is computed once, with its gradient
        k1 < k2    a batch begins with an ``overlap`` of up to k2 - k1 old steps, which are computed again with the
                   current weights, from the state that was stored at the first of them
        k1 > k2    the first k1 - k2 new steps only advance the state

    The loss covers the last min(k1, k2) steps.
    """

    def __init__(self, k1: int, k2: int) -> None:
        self.k1, self.k2 = k1, k2

    @property
    def segment(self) -> SegmentSize:
        return SegmentSize(self.k1, overlap=max(self.k2 - self.k1, 0))

    def step(self, model: Trainable[BatchT], batch: BatchT, carry: Carry) -> tuple[Tensor, Carry]:
        if self.k1 == self.k2:
            loss, state = model.loss(batch, carry)
        else:
            rule = self._with_overlap if self.k1 < self.k2 else self._last_steps
            name = f"tbptt with k1 = {self.k1} and k2 = {self.k2}"
            loss, state = rule(*require_stream(name, model, batch), carry)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), tuple(part.detach() for part in state)

    def _with_overlap(self, model: StreamModel[Any], batch: Segment, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the loss of the new steps, and the state at the first step of the next batch's overlap."""
        next_start = batch.steps - min(batch.steps, self.k2 - self.k1)
        if next_start <= batch.overlap:  # to compute these steps again without a gradient costs less than two graphs
            with torch.no_grad():
                next_state = _advance(model, batch, 0, next_start, carry)
            return model.loss(batch, carry)[0], next_state
        state = _advance(model, batch, 0, batch.overlap, carry)
        first, second = batch.cut(batch.overlap, next_start), batch.cut(next_start, batch.steps)
        first_loss, next_state = model.loss(first, state)
        second_loss, _ = model.loss(second, next_state)
        return (first_loss * first.units + second_loss * second.units) / batch.units, next_state

    def _last_steps(self, model: StreamModel[Any], batch: Segment, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the loss of the last k2 steps, and the state after them."""
        start = max(batch.steps - self.k2, 0)
        with torch.no_grad():
            state = _advance(model, batch, 0, start, carry)
        return model.loss(batch.cut(start, batch.steps), state)


def _advance(model: StreamModel[Any], batch: Segment, start: int, stop: int, carry: Carry) -> Carry:
    """Return the state after the steps from ``start`` to ``stop``."""
    return model.advance(batch.cut(start, stop), carry) if stop > start else carry
