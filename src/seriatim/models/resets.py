"""Resets in the middle of a segment, for networks that do not take reset marks themselves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seriatim.models.contract import Carry


def run_with_resets(
    run: Callable[[Tensor, Carry], tuple[Tensor, Carry]],
    reset_rows: Callable[[Carry, Tensor], Carry],
    inputs: Tensor,
    carry: Carry,
    reset: Tensor | None,
) -> tuple[Tensor, Carry]:
    """Apply ``run`` to ``inputs`` [K, B, …], and reset rows of its carry at the steps that ``reset`` [K, B] marks.

    The inputs are cut at each step at which any row is reset. ``reset_rows`` takes a carry and the rows to keep, [B].
    """
    if reset is None:
        return run(inputs, carry)
    cuts = [] if len(reset) == 1 else (torch.nonzero(reset[1:].any(1)).flatten() + 1).tolist()
    outputs = []
    for start, stop in zip([0, *cuts], [*cuts, len(inputs)], strict=True):
        carry = reset_rows(carry, ~reset[start]) if carry else carry
        output, carry = run(inputs[start:stop], carry)
        outputs.append(output)
    return torch.cat(outputs), carry
