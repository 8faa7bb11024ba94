"""A stack of layers from first step to last without gradients, where the call costs as much as the kernels.

Masks, lengths, other cells and dtypes, autocast, compilers, transforms, and whatever does not fit and has to be told,
are left to ``recurrence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.ops.held import Held, Parameters, holdable, is_ordinary, is_plain, nothing_special
from seriatim.spec import CellSpec


class Straight:
    """What one stack keeps between calls. A copy of it keeps nothing yet.

    ``names`` are those of the parameters, for each layer and direction; ``specs`` one for each layer.
    """

    def __init__(self, specs: Sequence[CellSpec], names: Sequence[tuple[str, ...]]) -> None:
        self._specs = tuple(specs)
        self._names = tuple(names)
        self._directions = len(self._names) // len(self._specs)
        self._plain = all(map(is_plain, self._specs))
        self._states = len(self._specs[0].states)
        self._held: tuple[tuple[int, ...], list[Held]] | None = None
        """With the identities of all parameters; one value, since threads may share this."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Straight, (self._specs, self._names)

    def run(self, parameters: Parameters, x: Any, state: Any) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        """x [T, B, I], states [L·D, B, H], a tensor or a tuple, or None for zeros → output [T, B, D·H], final states.

        None if this is not an ordinary call, or one that is to be refused; nothing has been done then.
        """
        if not self._plain or not nothing_special():
            return None
        gradients = torch.is_grad_enabled()
        if gradients and any(one is not None and one.requires_grad for one in parameters.values()):
            return None
        held = self._now(parameters)
        if held is None:
            return None
        dtype = held[0].dtype
        spec = self._specs[0]
        if not is_ordinary(x, dtype) or x.dim() != 3 or x.shape[2] != spec.input_size or not len(x):
            return None
        wanted = (len(held), x.shape[1], spec.hidden_size)
        if state is None:
            before = (x.new_zeros(wanted),) * self._states  # read alone, so one is enough
        elif self._states == 1:
            before = (state,)
        elif type(state) is tuple and len(state) == self._states:
            before = state
        else:
            return None
        for one in before:
            if not is_ordinary(one, dtype) or one.shape != wanted:
                return None
        if gradients and any(one.requires_grad for one in (x, *before)):
            return None
        return self._run(held, x, before)

    def _run(self, held: list[Held], x: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        forward, threads = native.engine().forward_at, torch.get_num_threads()
        final = tuple([torch.empty_like(one) for one in before])
        steps, rows, width = x.shape
        units = self._specs[0].hidden_size
        apart = rows * units * x.itemsize  # bytes from the state of one layer and direction to the next
        h, h_n = before[0].data_ptr(), final[0].data_ptr()
        c, c_n = (before[1].data_ptr(), final[1].data_ptr()) if len(before) == 2 else (0, 0)
        of_c = apart if c else 0
        for at, one in enumerate(held):
            direction = at % self._directions
            if not direction:
                outputs = []
                width = x.shape[2]
            output = x.new_empty((steps, rows, units))
            forward(
                one.packed, steps, rows, x.data_ptr(), rows * width, width, h, c, direction == 1, output.data_ptr(),
                h_n, c_n, 0, 0, threads,
            )  # fmt: skip
            h, h_n, c, c_n = h + apart, h_n + apart, c + of_c, c_n + of_c
            outputs.append(output)
            if direction == self._directions - 1:
                x = outputs[0] if direction == 0 else torch.cat(outputs, dim=2)
        return x, final

    def _now(self, parameters: Parameters) -> list[Held] | None:
        """The weights of every layer and direction as they are now."""
        identities = tuple(map(id, parameters.values()))
        held = self._held
        if held is not None and identities == held[0] and all([one.unchanged() for one in held[1]]):
            return held[1]
        self._held = None
        found: list[Held] = []
        for at, names in enumerate(self._names):
            weights = holdable(parameters, names)
            if weights is None or (found and weights[0].dtype is not found[0].dtype):
                return None
            found.append(Held(self._specs[at // self._directions], names, weights))
        self._held = identities, found
        return found
