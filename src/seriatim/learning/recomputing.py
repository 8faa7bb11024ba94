"""The exact gradient over long sequences in bounded memory: activations are computed again instead of being stored.

    forward     through the whole sequence without a gradient; the state at the start of each segment is stored
    backward    from the last segment to the first: each is run again from its stored state, and the gradient goes
                back through it, to the state that it starts from

Segments of length √T need the least memory, O(√T) (Chen 2016, Gruslys 2016). Fewer segments mean less work twice, so
they are as long as the allowed memory permits.
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

PROBE_STEPS = (16, 48)
"""The lengths of two segments. The difference of their memory is the memory per step."""
PROBE_SHARE = 8
"""A probe takes at most 1 / ``PROBE_SHARE`` of the sequence."""
RESIDENT = 1.5
"""The resident memory over the bytes that ``peak_memory`` finds. The C library and the engine use the rest. Measured:
1.25 at 500 MB, 1.58 at 43 MB and 1.53 at 4 MB (an LSTM of 64 units)."""


@final
class Recomputing(Learner):
    """BPTT over whole sequences, each from a state of zeros, in about ``memory`` bytes besides data and weights.

    The gradient equals that of ``BPTT``. Random draws (dropout) are repeated; one mask per sequence becomes one per
    segment. Raises ``UsageError`` if the sequences need more, with the smallest memory that is enough.
    """

    def __init__(self, memory: float) -> None:
        self.memory = memory
        self._lengths: WeakKeyDictionary[StreamModel[Any], dict[object, int]] = WeakKeyDictionary()
        """Lengths of segments, by the shapes that they were measured for. They do not change the gradient."""

    @property
    def segment(self) -> None:
        return None

    def step(self, model: Trainable[BatchT], batch: BatchT, carry: Carry) -> tuple[Tensor, Carry]:
        network, segment = require_stream("recompute", model, batch)
        lengths = self._lengths.setdefault(network, {})
        shapes = tuple(tensor.shape for tensor in tensors(segment).values())
        key = shapes, network.training, torch.is_autocast_enabled("cpu")
        if key not in lengths:
            lengths[key] = segment_length(network, segment, self.memory)
        return backward_in_segments(network, segment, lengths[key]), ()


def backward_in_segments(model: StreamModel[Any], batch: Segment, length: int) -> Tensor:
    """Add the gradient of the mean loss of ``batch`` to ``.grad``, ``length`` steps at a time; return the loss.

    The stored states are in one block that is allocated first. Between the short-lived tensors of the segments they
    would keep the C library from reusing memory. The shorter segment comes first in time, so it runs last, in used
    memory.
    """
    stops = range(batch.steps, 0, -length)
    segments = [slice(max(stop - length, 0), stop) for stop in reversed(stops)]
    starts: list[Carry] = [()]
    generator_states = torch.stack([torch.get_rng_state()] * len(segments))
    storage: Carry = ()
    with torch.no_grad():
        for index, segment in enumerate(segments[:-1], 1):
            carry = model.advance(batch.cut(segment.start, segment.stop), starts[-1])
            if [block.shape for block in storage[:1]] != [(len(segments), *part.shape) for part in carry[:1]]:
                storage = tuple(part.new_empty(len(segments), *part.shape) for part in carry)
            starts.append(tuple(block[index].copy_(part) for block, part in zip(storage, carry, strict=True)))
            generator_states[index] = torch.get_rng_state()
    total = torch.zeros(())
    gradients: list[Tensor] = []
    last_generator_state = None
    for segment in reversed(segments):
        torch.set_rng_state(generator_states[len(starts) - 1].clone())  # a view crashes PyTorch 2.13
        part = batch.cut(segment.start, segment.stop)
        start = tuple(state.clone().requires_grad_(state.is_floating_point()) for state in starts.pop())
        loss, end = model.loss(part, start)
        last_generator_state = torch.get_rng_state() if last_generator_state is None else last_generator_state
        weight = part.units / batch.units
        roots = [(loss * weight, torch.ones_like(loss))] if part.units else []  # a mean over nothing is not a number
        roots += [(state, gradient) for state, gradient in zip(end, gradients, strict=False) if state.requires_grad]
        torch.autograd.backward([root for root, _ in roots], [gradient for _, gradient in roots])
        gradients = [torch.zeros_like(state) if state.grad is None else state.grad for state in start]
        if part.units:
            total = total + loss.detach() * weight
        del loss, end, roots  # else their memory would live on while the next segment runs
    if last_generator_state is not None:
        torch.set_rng_state(last_generator_state)
    return total


def segment_length(model: StreamModel[Any], batch: Segment, memory: float) -> int:
    """Return the length of segments with which segments and stored states together fit in ``memory``.

    Raises ``UsageError`` if nothing fits.
    """
    if batch.steps <= PROBE_SHARE:
        return batch.steps
    fixed, per_step, per_state = costs(model, batch)
    if fixed + per_step * batch.steps <= memory:
        return batch.steps
    # per_step · n + per_state · T / n ≤ left, for the largest n
    available, product = memory - fixed, per_step * per_state * batch.steps
    if available < 0 or available**2 < 4 * product:
        least = (fixed + 2 * math.sqrt(product)) * 1.01
        raise UsageError(
            f"memory: got {memory / 1e6:.3g} MB, too little for {batch.steps:,} steps; wanted at least "
            f"{least / 1e6:.3g} MB, a smaller --batch-size or a smaller network"
        )
    longest = max(int((available + math.sqrt(available**2 - 4 * product)) / (2 * per_step)), 1)
    return math.ceil(batch.steps / math.ceil(batch.steps / longest))  # all of about the same length


def costs(model: StreamModel[Any], batch: Segment) -> tuple[float, float, float]:
    """Return the bytes that do not depend on the length, the bytes per step, and the bytes per stored state.

    They come from the peaks of two short segments at the start of ``batch``. The fixed part contains the gradients of
    the weights twice: the sum over the segments so far, and the gradients of the segment that is added to it.
    """
    generator_state = torch.get_rng_state()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    data = list(tensors(batch).values())
    lengths = [
        max(min(steps, batch.steps // PROBE_SHARE * (index + 1)), index + 1) for index, steps in enumerate(PROBE_STEPS)
    ]
    carry: Carry = ()

    def run(steps: int) -> Tensor:
        nonlocal carry
        loss, carry = model.loss(batch.cut(0, steps), ())
        return loss

    peaks = []
    for steps in lengths:
        peaks.append(peak(partial(run, steps), weights, data))
        torch.set_rng_state(generator_state)
    per_step = max((peaks[1] - peaks[0]) / (lengths[1] - lengths[0]), 1.0) * RESIDENT
    fixed = max(peaks[0] - per_step * lengths[0], 0.0) + 2 * sum(weight.nbytes for weight in weights)
    return fixed, per_step, sum(part.nbytes for part in carry) + generator_state.nbytes
