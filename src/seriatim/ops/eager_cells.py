"""A cell called step by step from Python, where the call costs more than the step: float32 and float64 on the CPU.

Training keeps the weights' gradients for the end. Every step depends on one empty tensor, which stands for the weights;
on the way back the engine gathers the gradients of their gates, and the node of that tensor, which autograd reaches
when every step is done, hands over the weights' gradients, made of them in a few large products. PyTorch's cells make
one product per weight and step.

What is out of the ordinary is left to ``recurrence.step``: other cells and dtypes, autocast, compilers, transforms, and
whatever does not fit and has to be told.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.ops.double_backward import derivative
from seriatim.ops.eager import Parameters, holdable, is_ordinary, is_plain, nothing_special
from seriatim.ops.engine import array
from seriatim.ops.packed_weights import Held
from seriatim.ops.step_gradients import Pass, Sums, sums_of
from seriatim.spec import CellSpec

if TYPE_CHECKING:
    from seriatim.kernels._native import PackedBack

Address = int

_is_trained = attrgetter("requires_grad")
_saved_tensors_hooks = torch._C._autograd._top_saved_tensors_default_hooks
_dispatch_modes = torch._C._len_torch_dispatch_stack
_transforms = torch._C._functorch.peek_interpreter_stack
_is_batched: Any = torch._C._functorch.is_legacy_batchedtensor  # by ``is_grads_batched``


class HeldToTrain(Held):
    """The same with what training needs."""

    def __init__(self, spec: CellSpec, names: tuple[str, ...], weights: tuple[Tensor, ...]) -> None:
        super().__init__(spec, names, weights)
        self._slots = self.memory[0].new_empty(0)
        self.trained = tuple(map(_is_trained, weights))
        self.sums: Sums | None = None
        self.token: Tensor | None = None
        self._back: PackedBack | None = None
        if any(self.trained) and not torch.is_inference_mode_enabled():
            self.sums = Sums(self.trained)
            with torch.enable_grad():
                self.token = sums_of(self.sums, weights)

    @property
    def back(self) -> PackedBack:
        """The weights as the way back reads them, from the first such step on."""
        if self._back is None:
            arrays = [*map(array, self.memory), *(None for _ in self.absent)]
            self._back = native.engine().PackedBack(self.cell, arrays, torch.get_num_threads())
        return self._back

    def like_slots(self, rows: int) -> Tensor:
        """An empty tensor of the size of what a step of so many rows keeps; to make one like it is the quickest."""
        found = self._slots
        if len(found) != rows:
            found = self._slots = self.memory[0].new_empty((rows, self.cell.slots, self.spec.hidden_size))
        return found

    def holds(self, parameters: Parameters, h: Any) -> bool:
        """Whether these are still the parameters of the cell, as they were, for a step from ``h``."""
        return self.seen.unchanged(tuple(parameters.values()), h)


class Stepping:
    """What one cell keeps between calls. A copy of it keeps nothing yet."""

    def __init__(self, spec: CellSpec, names: tuple[str, ...]) -> None:
        self._spec = spec
        self._names = names
        self._inputs = spec.input_size
        self._units = spec.hidden_size
        self._plain = is_plain(spec)
        self._held: HeldToTrain | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Stepping, (self._spec, self._names)

    def step(self, parameters: Parameters, x: Any, state: Any) -> tuple[Tensor, ...] | None:
        """x [B, I] and the state, a tensor or a tuple, or None for zeros → the next state.

        None if this is not an ordinary call, or one that is to be refused; nothing has been done then.
        """
        if not self._plain or not nothing_special():
            return None
        held = self._held
        before = state[0] if type(state) is tuple and state else state
        if held is None or not held.holds(parameters, before):
            held = self._held = self._hold(parameters)
            if held is None:
                return None
        dtype = held.dtype
        if not is_ordinary(x, dtype):
            return None
        shape = x.shape
        if len(shape) != 2 or shape[1] != self._inputs:
            return None
        rows = shape[0]
        wanted = (rows, self._units)
        c = None
        if state is None:
            h = x.new_zeros(wanted)
            if held.states == 2:
                c = x.new_zeros(wanted)
        elif held.states == 1:
            h = state
            if not is_ordinary(h, dtype) or h.shape != wanted:
                return None
        else:
            if type(state) is not tuple or len(state) != 2:
                return None
            h, c = state
            if not (is_ordinary(h, dtype) and h.shape == wanted and is_ordinary(c, dtype) and c.shape == wanted):
                return None
        if torch.is_grad_enabled():
            if _saved_tensors_hooks(True) is not None:  # which may return anything
                return None
            trained = tuple(map(_is_trained, held.weights))
            if trained != held.trained or (held.token is None and True in trained):
                held = self._held = HeldToTrain(self._spec, self._names, held.weights)
            token = held.token
            if token is not None or x.requires_grad or h.requires_grad or (c is not None and c.requires_grad):
                made = _apply_step(held, token, x, h, c)
                made = made if c is not None else (made,)
                held.seen.led_to(made[0])
                return made
        h_n = torch.empty_like(h)
        held.seen.led_to(h_n)
        if c is None:
            _advance(held, rows, x, h, 0, h_n.data_ptr(), 0)
            return (h_n,)
        c_n = torch.empty_like(c)
        _advance(held, rows, x, h, c.data_ptr(), h_n.data_ptr(), c_n.data_ptr())
        return h_n, c_n

    def _hold(self, parameters: Parameters) -> HeldToTrain | None:
        weights = holdable(parameters, self._names)
        return None if weights is None else HeldToTrain(self._spec, self._names, weights)


def _advance(held: HeldToTrain, rows: int, x: Tensor, h: Tensor, c: Address, h_n: Address, c_n: Address) -> None:
    native.engine().step_at(
        held.packed, rows, x.data_ptr(), h.data_ptr(), c, h_n, c_n, torch.get_num_threads()
    )  # fmt: skip


class _Step(torch.autograd.Function):
    """One step in training, of x, h and c; ``token`` stands for the weights."""

    @staticmethod
    def forward(
        ctx: Any, held: HeldToTrain, token: Tensor | None, x: Tensor, h: Tensor, c: Tensor | None
    ) -> Tensor | tuple[Tensor, Tensor]:
        rows, inputs = x.shape
        h_n = torch.empty_like(h)
        slots = c_n = None
        before = after = of_slots = 0
        if held.keeps_slots:
            slots = torch.empty_like(held.like_slots(rows))
            of_slots = slots.data_ptr()
        if c is not None:
            c_n = torch.empty_like(c)
            before, after = c.data_ptr(), c_n.data_ptr()
        made = h_n.data_ptr()
        native.engine().forward_at(
            held.packed, 1, rows, (), x.data_ptr(), 0, inputs, h.data_ptr(), before, False, made, made, after,
            of_slots, after, torch.get_num_threads(),
        )  # fmt: skip
        ctx.held = held
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h, c, h_n, slots, c_n)
        return h_n if c_n is None else (h_n, c_n)

    @staticmethod
    def backward(ctx: Any, grad_h: Tensor | None, grad_c: Tensor | None = None) -> tuple[Tensor | None, ...]:
        x, h, c, h_n, slots, c_n = ctx.saved_tensors
        held: HeldToTrain = ctx.held
        if grad_h is None and grad_c is None:
            return None, None, None, None, None
        _, _, of_x, of_h, of_c = ctx.needs_input_grad
        sums = None if held.sums is None else held.sums.of_this_pass(held)
        if (
            torch.is_grad_enabled()
            or _transforms() is not None
            or _dispatch_modes()
            or _is_batched(grad_h if grad_c is None else grad_c)
        ):
            held.refuse_changes()
            return _derived(held, sums, (x, h, c), (of_x, of_h, of_c), (grad_h, grad_c))
        found_x = torch.empty_like(x) if of_x else None
        found_h = torch.empty_like(h) if of_h else None
        found_c = torch.empty_like(c) if of_c else None
        if grad_h is not None:
            grad_h = grad_h.contiguous()
        if grad_c is not None:
            grad_c = grad_c.contiguous()
        (sums or Pass(held, False)).step(
            x, h, _address(c), h_n.data_ptr(), _address(slots), _address(c_n), _address(grad_h), _address(grad_c),
            _address(found_x), _address(found_h), _address(found_c),
        )  # fmt: skip
        return None, None, found_x, found_h, found_c


_apply_step: Any = super(torch.autograd.Function, _Step).apply
"""``_Step.apply`` without its looking for transforms, of which ``Stepping.step`` knows that there are none."""


def _address(one: Tensor | None) -> Address:
    return 0 if one is None else one.data_ptr()


def _derived(
    held: HeldToTrain,
    sums: Pass | None,
    arguments: tuple[Tensor, Tensor, Tensor | None],
    needs: tuple[bool, bool, bool],
    grads: tuple[Tensor | None, Tensor | None],
) -> tuple[Tensor | None, ...]:
    """The same as a graph, for somebody who wants its derivative."""
    x, h, c = arguments
    absent = [None for _ in range(10 - len(held.weights))]
    trained = held.trained if sums is not None else tuple(False for _ in held.weights)
    found = derivative(
        held.plan,
        [x.unsqueeze(0), h, c, *held.weights, *absent, None, None, None, None, None],
        (*needs, *trained, *(False for _ in absent)),
        (None, *grads, None),
    )
    if sums is not None:
        sums.add_graph(found[3 : 3 + len(held.weights)])
    return None, None, None if found[0] is None else found[0].squeeze(0), found[1], found[2]
