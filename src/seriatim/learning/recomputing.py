"""The exact gradient over long sequences in bounded memory: what a gradient needs is computed again, not kept.

    forward     through the sequence without a gradient; the state is kept where each segment begins
    backward    from the last segment to the first: run again from its state, and the gradient of the loss taken
                through it, which gives that of its first state

Segments of the length √T would need the least memory, O(√T) (Chen 2016, Gruslys 2016). The fewer they are, the less is
run twice, so they are as long as the memory that was granted allows.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from seriatim.errors import UsageError
from seriatim.learning.learner import Learner, require_stream
from seriatim.learning.peak_memory import peak
from seriatim.models.contract import BatchT, Carry, Segment, StreamModel, Trainable, tensors

PROBE = (16, 48)
"""Steps of the two stretches whose difference tells what a step needs."""
SHARE = 8
"""A probe is at most so small a part of the sequence."""


RESIDENT = 1.5
"""Resident bytes over those that ``footprint`` follows, for what the C library and the engine hold beside them: 1.25 at
500 MB, 1.58 at 43 MB and 1.53 at 4 MB were measured (an LSTM of 64 units)."""


@final
class Recomputing(Learner):
    """BPTT over whole sequences, each starting from zeros, in about ``memory`` bytes beside data and weights.

    The gradient is that of ``BPTT``; draws (dropout) repeat themselves, but one mask per sequence is one per
    segment here. Raises ``UsageError`` when the sequences need more, and tells the least that would do.
    """

    def __init__(self, memory: float) -> None:
        self.memory = memory
        self._lengths: WeakKeyDictionary[StreamModel[Any], dict[object, int]] = WeakKeyDictionary()
        """Of segments, by the shapes of what was measured; they change no gradient."""

    @property
    def segment(self) -> None:
        return None

    def step(self, model: Trainable[BatchT], batch: BatchT, carry: Carry) -> tuple[Tensor, Carry]:
        network, segment = require_stream("recompute", model, batch)
        known = self._lengths.setdefault(network, {})
        shapes = tuple(one.shape for one in tensors(segment).values())
        kind = shapes, network.training, torch.is_autocast_enabled("cpu")
        if kind not in known:
            known[kind] = segment_length(network, segment, self.memory)
        return backward_in_segments(network, segment, known[kind]), ()


def backward_in_segments(model: StreamModel[Any], batch: Segment, length: int) -> Tensor:
    """Leave the gradient of the mean loss of ``batch`` in ``.grad``, taken through ``length`` steps at a time.

    What is stored lies in one place made beforehand: between the passing tensors of the segments it would keep the
    C library from using their memory again. A shorter segment stands first, and so is run last, in used memory.
    """
    stops = range(batch.steps, 0, -length)
    segments = [slice(max(stop - length, 0), stop) for stop in reversed(stops)]
    begun: list[Carry] = [()]
    draws = torch.stack([torch.get_rng_state()] * len(segments))
    room: Carry = ()
    with torch.no_grad():
        for index, segment in enumerate(segments[:-1], 1):
            carry = model.advance(batch.cut(segment.start, segment.stop), begun[-1])
            if [one.shape for one in room[:1]] != [(len(segments), *one.shape) for one in carry[:1]]:
                room = tuple(one.new_empty(len(segments), *one.shape) for one in carry)
            begun.append(tuple(there[index].copy_(one) for there, one in zip(room, carry, strict=True)))
            draws[index] = torch.get_rng_state()
    total = torch.zeros(())
    gradients: list[Tensor] = []
    ended = None
    for segment in reversed(segments):
        torch.set_rng_state(draws[len(begun) - 1].clone())  # a view crashes PyTorch 2.13
        part = batch.cut(segment.start, segment.stop)
        first = tuple(one.clone().requires_grad_(one.is_floating_point()) for one in begun.pop())
        loss, last = model.loss(part, first)
        ended = torch.get_rng_state() if ended is None else ended
        weight = part.units / batch.units
        roots = [(loss * weight, torch.ones_like(loss))] if part.units else []  # a mean over nothing is not a number
        roots += [(one, given) for one, given in zip(last, gradients, strict=False) if one.requires_grad]
        torch.autograd.backward([one for one, _ in roots], [given for _, given in roots])
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in first]
        if part.units:
            total = total + loss.detach() * weight
        del loss, last, roots  # or what they keep would live on beside the next segment's
    if ended is not None:
        torch.set_rng_state(ended)
    return total


def segment_length(model: StreamModel[Any], batch: Segment, memory: float) -> int:
    """How many steps a segment of ``batch`` may have, so that segments and stored states together fit in ``memory``.

    Raises ``UsageError`` when nothing fits.
    """
    if batch.steps <= SHARE:
        return batch.steps
    fixed, per_step, per_state = costs(model, batch)
    if fixed + per_step * batch.steps <= memory:
        return batch.steps
    # per_step · n + per_state · T / n ≤ left, for the largest n
    left, both = memory - fixed, per_step * per_state * batch.steps
    if left < 0 or left**2 < 4 * both:
        least = (fixed + 2 * math.sqrt(both)) * 1.01
        raise UsageError(
            f"memory: got {memory / 1e6:.3g} MB, too little for {batch.steps:,} steps; wanted at least "
            f"{least / 1e6:.3g} MB, a smaller --batch-size or a smaller network"
        )
    longest = max(int((left + math.sqrt(left**2 - 4 * both)) / (2 * per_step)), 1)
    return math.ceil(batch.steps / math.ceil(batch.steps / longest))  # all about as long as one another


def costs(model: StreamModel[Any], batch: Segment) -> tuple[float, float, float]:
    """Bytes at the peak that do not depend on the length, bytes per step, and bytes per stored state.

    Measured on the first steps: the peaks of two lengths. The weights' gradients count among the first, twice: those
    of the segments so far, and those of the segment that is added to them.
    """
    draws = torch.get_rng_state()
    weights = [one for one in model.parameters() if one.requires_grad]
    data = list(tensors(batch).values())
    lengths = [max(min(most, batch.steps // SHARE * (index + 1)), index + 1) for index, most in enumerate(PROBE)]
    carry: Carry = ()

    def run(steps: int) -> Tensor:
        nonlocal carry
        loss, carry = model.loss(batch.cut(0, steps), ())
        return loss

    found = []
    for steps in lengths:
        found.append(peak(partial(run, steps), weights, data))
        torch.set_rng_state(draws)
    per_step = max((found[1] - found[0]) / (lengths[1] - lengths[0]), 1.0) * RESIDENT
    fixed = max(found[0] - per_step * lengths[0], 0.0) + 2 * sum(map(_bytes, weights))
    return fixed, per_step, sum(map(_bytes, carry)) + draws.nbytes


def _bytes(one: Tensor) -> int:
    return one.nbytes
