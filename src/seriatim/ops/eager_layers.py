"""A stack of layers from first step to last, where the call costs as much as the kernels. In bfloat16 inference alone.

Masks, lengths but those of packed rows, other cells and dtypes, autocast, compilers, transforms, and whatever does not
fit and has to be told, are left to ``recurrence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from seriatim.kernels import native
from seriatim.ops.autograd import apply_layer, strides
from seriatim.ops.eager import Parameters, holdable, is_on_cpu, is_ordinary, is_plain, nothing_special
from seriatim.ops.native import FULL, PIECE
from seriatim.ops.packed_weights import Held
from seriatim.spec import CellSpec

_saved_tensors_hooks = torch._C._autograd._top_saved_tensors_default_hooks
_is_leaf = attrgetter("is_leaf")
_is_trained = attrgetter("requires_grad")


class Straight:
    """What one stack keeps between calls. A copy of it keeps nothing yet.

    ``names`` are those of the parameters, for each layer and direction; ``specs`` one for each layer.
    """

    def __init__(self, specs: Sequence[CellSpec], names: Sequence[tuple[str, ...]]) -> None:
        self._specs = tuple(specs)
        self._names = tuple(names)
        self._inputs, self._units = specs[0].input_size, specs[0].hidden_size
        self._directions = len(self._names) // len(self._specs)
        self._plain = all(map(is_plain, self._specs))
        self._states = len(self._specs[0].states)
        self._held: tuple[tuple[int, ...], list[Held]] | None = None
        """With the identities of all parameters; one value, since threads may share this."""
        self._zeros: Tensor | None = None
        """The first state of the last call without one. Nobody else sees it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Straight, (self._specs, self._names)

    def run(
        self, parameters: Parameters, x: Any, state: Any, batch_first: bool
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, ...]] | None:
        """x [T, B, I], or [B, T, I] with ``batch_first``, or [T, I], or packed; states [L·D, B, H], a tensor or a
        tuple, or None for zeros → output [T, B, D·H] and final states, with the axes of x.

        None if this is not an ordinary call, or one that is to be refused; nothing has been done then.
        """
        if not self._plain or not nothing_special():
            return None
        if type(x) is PackedSequence:
            return self._run_packed(parameters, x, state)
        held = self._now(parameters, _before_one_step(x, state, batch_first))
        if held is None or not is_on_cpu(x, held[0].dtype):
            return None
        shape = x.shape
        if len(shape) == 3:
            rows, steps = shape[:2] if batch_first else (shape[1], shape[0])
            alone = False
        elif len(shape) == 2:
            rows, steps = 1, shape[0]
            alone, batch_first = True, False
        else:
            return None
        if shape[-1] != self._inputs or not steps or x.stride()[-1] != 1:
            return None
        before = self._before(held, (len(held), rows, self._units), state, alone)
        if before is None:
            return None
        zeros, states = before
        if batch_first:
            x = x.transpose(0, 1)
        elif alone:
            x = x.unsqueeze(1)
        made = self._through(held, x, (), zeros, states)
        if made is None:
            return None
        output, final = made
        if batch_first:
            output = output.transpose(0, 1)
        elif alone:
            output, final = output.squeeze(1), tuple([one.squeeze(1) for one in final])
        for one in held:
            one.seen.led_to(final[0])
        return output, final

    def _run_packed(
        self, parameters: Parameters, given: PackedSequence, state: Any
    ) -> tuple[PackedSequence, tuple[Tensor, ...]] | None:
        """The same where x holds the steps alone that there are: the engine takes them where they stand."""
        x, batch_sizes, order, back = given
        held = self._now(parameters, None)
        if held is None or not is_on_cpu(x, held[0].dtype) or x.dim() != 2 or x.shape[1] != self._inputs:
            return None
        sizes = batch_sizes.tolist()
        if x.stride(1) != 1 or sum(sizes) != len(x) or not len(x) or sizes != sorted(sizes, reverse=True):
            return None
        before = self._before(held, (len(held), sizes[0], self._units), state, False)
        if before is None:
            return None
        zeros, states = before
        if order is not None:
            states = tuple([None if one is None else one.index_select(1, order) for one in states])
        made = self._through(held, x, sizes, zeros, states)
        if made is None:
            return None
        output, final = made
        if back is not None:
            final = tuple([one.index_select(1, back) for one in final])
        return PackedSequence(output, batch_sizes, order, back), final

    def _through(
        self, held: list[Held], x: Tensor, sizes: Sequence[int], zeros: Tensor, states: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        """x [T, B, I], or packed [N, I] with its ``sizes``; None where somebody watches what is saved."""
        if not (torch.is_grad_enabled() and self._is_differentiated(held, x, states)):
            return self._run(held, x, sizes, zeros, states)
        if _saved_tensors_hooks(True) is not None or held[0].dtype not in FULL:  # hooks may return anything
            return None
        return self._train(held, x, sizes, zeros, states)

    def _before(
        self, held: list[Held], wanted: tuple[int, ...], state: Any, alone: bool
    ) -> tuple[Tensor, tuple[Tensor | None, ...]] | None:
        """Zeros of that shape, and the states of it, if they are given and fit."""
        zeros = self._zeros
        if zeros is None or zeros.shape != wanted or zeros.dtype is not held[0].full:
            with torch.inference_mode(False):
                zeros = self._zeros = torch.zeros(wanted, dtype=held[0].full)
        if state is None:
            return zeros, (None,) * self._states
        given = (state,) if self._states == 1 else state
        if type(given) is not tuple or len(given) != self._states:
            return None
        for one in given:
            if not is_ordinary(one, held[0].dtype) or one.shape != (wanted[::2] if alone else wanted):
                return None
        return zeros, tuple([one.unsqueeze(1) for one in given]) if alone else given

    def _is_differentiated(self, held: list[Held], x: Tensor, states: tuple[Tensor | None, ...]) -> bool:
        if x.requires_grad or held[0].weights[0].requires_grad:  # mostly
            return True
        return any([any(map(_is_trained, one.weights)) for one in held]) or any(
            [one is not None and one.requires_grad for one in states]
        )

    def _train(
        self, held: list[Held], x: Tensor, sizes: Sequence[int], zeros: Tensor, states: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        h, c = (*states, None)[:2]
        if len(held) == 1:
            one = held[0]
            output, *final = apply_layer(one, False, sizes, zeros, x, h, c, *one.weights)
            return output, tuple(final)
        ended = []
        for at, one in enumerate(held):
            direction = at % self._directions
            if not direction:
                outputs = []
            first = [None if each is None else each.narrow(0, at, 1) for each in (h, c)]
            of_this = zeros.narrow(0, at, 1)
            output, *final = apply_layer(one, direction == 1, sizes, of_this, x, *first, *one.weights)
            outputs.append(output)
            ended.append(final)
            if direction == self._directions - 1:
                x = output if direction == 0 else torch.cat(outputs, dim=-1)
        return x, tuple([torch.cat(each) for each in zip(*ended, strict=True)])

    def _run(
        self, held: list[Held], x: Tensor, sizes: Sequence[int], zeros: Tensor, states: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        dtype, full = held[0].dtype, held[0].full
        reduced = dtype is not full
        if reduced:
            if x.dim() == 3 and 4 * len(x) * zeros[0].numel() > PIECE:
                return None  # faster in pieces
            states = tuple([None if one is None else one.to(full) for one in states])
        forward, threads = native.engine().forward_at, torch.get_num_threads()
        before = [zeros if one is None else one for one in states]
        final = tuple([torch.empty_like(zeros) for _ in before])
        steps, rows = len(sizes) or len(x), zeros.shape[1]
        shape = *x.shape[:-1], self._units
        apart = rows * self._units * zeros.itemsize  # bytes from the state of one layer and direction to the next
        h, h_n = before[0].data_ptr(), final[0].data_ptr()
        c, c_n = (before[1].data_ptr(), final[1].data_ptr()) if len(before) == 2 else (0, 0)
        of_c = apart if c else 0
        for at, one in enumerate(held):
            direction = at % self._directions
            if not direction:
                outputs = []
                x = x.to(full) if reduced else x
                by_step, by_row = strides(x)
            output = torch.empty(*shape, dtype=full)
            forward(
                one.packed, steps, rows, sizes, x.data_ptr(), by_step, by_row, h, c, direction == 1, output.data_ptr(),
                h_n, c_n, 0, 0, threads,
            )  # fmt: skip
            h, h_n, c, c_n = h + apart, h_n + apart, c + of_c, c_n + of_c
            outputs.append(output)
            if direction == self._directions - 1:
                x = output if direction == 0 else torch.cat(outputs, dim=-1)
                x = x.to(dtype) if reduced else x
        return x, tuple([one.to(dtype) for one in final]) if reduced else final

    def _now(self, parameters: Parameters, h: Tensor | None) -> list[Held] | None:
        """The weights of every layer and direction as they are now; ``h`` is as for ``Seen``."""
        identities = tuple(map(id, parameters.values()))
        held = self._held
        if held is not None and identities == held[0] and all([one.unchanged(h) for one in held[1]]):
            return held[1]
        self._held = None
        found: list[Held] = []
        for at, names in enumerate(self._names):
            weights = holdable(parameters, names, (*FULL, torch.bfloat16))
            if weights is None or not all(map(_is_leaf, weights)) or (found and weights[0].dtype is not found[0].dtype):
                return None
            found.append(Held(self._specs[at // self._directions], names, weights))
        self._held = identities, found
        return found


def _before_one_step(x: Any, state: Any, batch_first: bool) -> Any:
    """h if this is a single step that goes on from a state, as a cell's call does."""
    if state is None or type(x) is not Tensor or not 2 <= x.dim() <= 3:
        return None
    if x.shape[1 if batch_first and x.dim() == 3 else 0] != 1:
        return None
    return state[0] if type(state) is tuple and state else state
