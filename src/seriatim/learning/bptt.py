"""Gradients backward in time, over whole sequences or over the last steps of a stream."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from seriatim.learning.learner import Learner, streaming
from seriatim.models.contract import Carry, Segment, StreamModel, Trainable


@final
class BPTT(Learner):
    """BPTT: the exact gradient over whole sequences, each starting from a state of zeros (Werbos 1990)."""

    def step(self, model: Trainable, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        loss, _ = model.loss(batch, ())
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), ()


@final
class TruncatedBPTT(Learner):
    """TruncatedBPTT BPTT(k1, k2): every k1 steps a gradient, taken back through the last k2 (Williams & Peng 1990).

    Batches must come in order, one stream per batch row, with k1 new steps each (fewer at the end of an epoch); an
    empty carry starts the streams anew. The state goes on from batch to batch, the gradient does not:

        k1 = k2    each step is run once, with its gradient
        k1 < k2    a batch leads up to its new steps by an ``overlap`` of k2 - k1 old ones (as far as there are any),
                   which are run again with the weights of now, from the state that was stored where they begin
        k1 > k2    the first k1 - k2 new steps only bring the state on

    The losses that are differentiated are those of the last min(k1, k2) steps.
    """

    def __init__(self, k1: int, k2: int) -> None:
        self.k1, self.k2 = k1, k2

    def step(self, model: Trainable, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        if self.k1 == self.k2:
            loss, state = model.loss(batch, carry)
        else:
            rule = self._overlapping if self.k1 < self.k2 else self._thinned
            loss, state = rule(*streaming(f"tbptt with k1 = {self.k1} and k2 = {self.k2}", model, batch), carry)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), tuple(part.detach() for part in state)

    def _overlapping(self, model: StreamModel, batch: Segment, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the loss, and the state where the overlap of the next batch begins."""
        begins = batch.steps - min(batch.steps, self.k2 - self.k1)
        state, stored = carry, carry
        if begins < batch.overlap:  # stored on the way through the old steps
            stored = _led(model, batch, 0, begins, carry)
            state = _led(model, batch, begins, batch.overlap, stored)
            return model.loss(batch.cut(batch.overlap, batch.steps), state)[0], stored
        state = _led(model, batch, 0, batch.overlap, carry)
        if begins == batch.overlap:
            return model.loss(batch.cut(batch.overlap, batch.steps), state)[0], state
        first, second = batch.cut(batch.overlap, begins), batch.cut(begins, batch.steps)
        one, stored = model.loss(first, state)
        other, _ = model.loss(second, stored)
        return (one * first.units + other * second.units) / batch.units, stored

    def _thinned(self, model: StreamModel, batch: Segment, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the loss of the last k2 steps, and the state after them."""
        begins = max(batch.steps - self.k2, 0)
        with torch.no_grad():
            state = _led(model, batch, 0, begins, carry)
        return model.loss(batch.cut(begins, batch.steps), state)


def _led(model: StreamModel, batch: Segment, start: int, stop: int, carry: Carry) -> Carry:
    """The state after the steps from ``start`` to ``stop``."""
    return model.advance(batch.cut(start, stop), carry) if stop > start else carry
