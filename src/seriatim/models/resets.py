"""Where a new sequence starts in the middle of a stretch, for what cannot be told so itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seriatim.models.contract import Carry


def in_pieces(
    run: Callable[[Tensor, Carry], tuple[Tensor, Carry]],
    forget: Callable[[Carry, Tensor], Carry],
    inputs: Tensor,
    carry: Carry,
    reset: Tensor | None,
) -> tuple[Tensor, Carry]:
    """``run`` over ``inputs`` [K, B, …], its carry forgotten at the steps that ``reset`` [K, B] marks.

    Between two steps at which any row starts anew all rows go together; ``forget`` takes a carry and which rows are
    kept, [B].
    """
    if reset is None:
        return run(inputs, carry)
    at = [] if len(reset) == 1 else (torch.nonzero(reset[1:].any(1)).flatten() + 1).tolist()
    outputs = []
    for start, stop in zip([0, *at], [*at, len(inputs)], strict=True):
        carry = forget(carry, ~reset[start]) if carry else carry
        output, carry = run(inputs[start:stop], carry)
        outputs.append(output)
    return torch.cat(outputs), carry
