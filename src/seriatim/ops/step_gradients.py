"""Training of cells that are called step by step.

The weights' gradients are deferred. Each step depends on an empty tensor, the token, in place of the weights. In
backward the engine collects the gradients of the steps' gates. Autograd reaches the node of the token when all steps
are done; this node computes the weights' gradients in a few large products. PyTorch's cells compute one product per
weight and step.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.ops.double_backward import differentiable_backward
from seriatim.ops.eager import needs_graph
from seriatim.ops.engine import address
from seriatim.ops.packed_weights import PackedWeights

if TYPE_CHECKING:
    from seriatim.kernels._native import PackedBack

_requires_grad = attrgetter("requires_grad")
_version_of = attrgetter("_version")
_current_backward = torch._C._current_graph_task_id


class TrainableWeights:
    """The weights of one cell with their names, their packing, and the objects of their training."""

    def __init__(self, names: tuple[str, ...], weights: tuple[Tensor, ...], packed: PackedWeights) -> None:
        assert packed.fingerprint is not None
        self.packed = packed
        self.packed_forward = packed.packed
        self.fingerprint = packed.fingerprint
        self.dtype = packed.dtype
        self.has_c = packed.plan.has_c
        self.needs_slots = packed.plan.needs_slots
        slots, units = packed.plan.slots_shape
        self.saved_width = (slots + self.has_c) * units
        """The numbers that a step saves for each row."""
        self.slots_bytes = slots * units * self.dtype.itemsize
        """The bytes of the slots of one row. The c of all rows comes after the slots of all rows."""
        self.weights = weights
        self.requires_grad = tuple(map(_requires_grad, self.weights))
        self.gradients: DeferredGradients | None = None
        self.token: Tensor | None = None
        self._names = names
        self._packed_backward: PackedBack | None = None
        self._slots_template = self.weights[0].detach().new_empty(0)
        if any(self.requires_grad) and not torch.is_inference_mode_enabled():
            self.gradients = DeferredGradients()
            with torch.enable_grad():
                self.token = weights_token(self.gradients, self.weights)

    @property
    def packed_backward(self) -> PackedBack:
        """The weights in the layout of a backward, packed when first needed."""
        if self._packed_backward is None:
            addresses = [weight.data_ptr() for weight in self.fingerprint.memory] + self.packed.absent
            self._packed_backward = native.engine().PackedBack(
                self.packed.cell, self.packed.is_float64, addresses, torch.get_num_threads()
            )
        return self._packed_backward

    def slots_template(self, rows: int) -> Tensor:
        """A tensor with the size of the slots and then the c of ``rows`` rows, for ``empty_like``, the fastest way."""
        template = self._slots_template
        if len(template) != rows:
            template = self._slots_template = template.new_empty((rows, self.saved_width))
        return template

    def refuse_changes(self) -> None:
        """Raise ``RuntimeError`` as PyTorch does if weights have been changed since they were packed."""
        memory, versions = self.fingerprint.memory, self.fingerprint.versions
        if list(map(_version_of, memory)) == versions:
            return
        for name, weight, version in zip(self._names, memory, versions, strict=True):
            if weight._version != version:
                raise RuntimeError(
                    f"{name}: a variable needed for gradient computation has been modified by an inplace operation: it "
                    f"is at version {weight._version}, expected version {version}"
                )


class BackwardPass:
    """The weights' gradients that one backward pass has collected so far, if they are needed.

    Raises ``RuntimeError``, at its begin and its end, if the weights have changed since the forward steps.
    """

    def __init__(self, trainable: TrainableWeights, needed: bool) -> None:
        trainable.refuse_changes()
        self._trainable = trainable
        self._grads = [
            torch.empty_like(weight) if needed and requires_grad else None
            for weight, requires_grad in zip(trainable.weights, trainable.requires_grad, strict=True)
        ]
        addresses = list(map(address, self._grads))
        self._steps = native.engine().StepsBack(
            trainable.packed_backward, addresses + trainable.packed.absent, torch.get_num_threads()
        )
        self._alive: list[tuple[Tensor, Tensor]] = []
        self._has_steps = False
        self._graphs: list[Tensor | None] = [None for _ in addresses]

    def step(self, x: Tensor, h: Tensor, *addresses: int) -> None:
        """Differentiate one step from x [B, I] and h [B, H]. The rest is as for the engine's ``StepsBack``."""
        if self._steps.step(len(h), x.data_ptr(), h.data_ptr(), *addresses):
            self._alive.clear()
        self._alive.append((x, h))
        self._has_steps = True

    def add_graph(self, grads: Sequence[Tensor | None]) -> None:
        """Add the gradients of one step, which have a graph."""
        self._graphs = list(map(_sum, self._graphs, grads))

    def total(self) -> list[Tensor | None]:
        """The gradients of w_ih, w_hh, b_ih and b_hh."""
        self._trainable.refuse_changes()
        if not self._has_steps:
            return self._graphs
        self._steps.finish()
        return list(map(_sum, self._grads, self._graphs))


class DeferredGradients:
    """The gradients of one set of weights. Backward passes that run at the same time have separate sums."""

    def __init__(self) -> None:
        self._passes: dict[int, BackwardPass] = {}

    def current_pass(self, trainable: TrainableWeights) -> BackwardPass | None:
        """The running backward pass, or None if it does not reach the weights' token."""
        task = _current_backward()
        current = self._passes.get(task)
        if current is None and trainable.token is not None:
            node: Any = trainable.token.grad_fn
            if torch._C._will_engine_execute_node(node):
                current = self._passes[task] = BackwardPass(trainable, True)
        return current

    def collect(self) -> list[Tensor | None] | None:
        """The result of the running backward pass, which ends here; None if it had no step."""
        current = self._passes.pop(_current_backward(), None)
        return None if current is None else current.total()


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return second if first is None else first if second is None else first + second


class _TokenFunction(torch.autograd.Function):
    """An empty tensor that depends on the weights."""

    @staticmethod
    def forward(ctx: Any, gradients: DeferredGradients, *weights: Tensor) -> Tensor:
        ctx.gradients = gradients
        ctx.count = len(weights)
        ctx.set_materialize_grads(False)
        return weights[0].new_empty(0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        return None, *(ctx.gradients.collect() or (None,) * ctx.count)


def weights_token(gradients: DeferredGradients, weights: Sequence[Tensor]) -> Tensor:
    """The tensor that a step takes in place of its weights."""
    apply: Any = _TokenFunction.apply
    token: Tensor = apply(gradients, *weights)
    return token


class CellFunction(torch.autograd.Function):
    """One step of a standard cell: x [B, I], h and c [B, H] → h_n, and c_n of an LSTM.

    x has a dense last axis, h and c are contiguous. Backward reads its own copy of c_n, and h_n of an RNN only, so that
    callers may change the state of an LSTM or GRU in place, as with PyTorch's cells.
    """

    @staticmethod
    def forward(
        ctx: Any, trainable: TrainableWeights, token: Tensor | None, x: Tensor, h: Tensor, c: Tensor | None
    ) -> Tensor | tuple[Tensor, Tensor]:
        rows, by_row = len(x), x.stride(0)
        h_n = torch.empty_like(h)
        slots = c_n = None
        c_address = c_n_address = slots_address = saved_c_address = 0
        if trainable.needs_slots:
            slots = torch.empty_like(trainable.slots_template(rows))
            slots_address = slots.data_ptr()
        if c is not None:
            c_n = torch.empty_like(c)
            c_address, c_n_address = c.data_ptr(), c_n.data_ptr()
            saved_c_address = slots_address + rows * trainable.slots_bytes
        h_n_address = h_n.data_ptr()
        native.engine().forward(
            trainable.packed_forward, 1, rows, (), x.data_ptr(), 0, by_row, h.data_ptr(), c_address, False,
            h_n_address, h_n_address, c_n_address, slots_address, saved_c_address, None,
            torch.get_num_threads(),
        )  # fmt: skip
        ctx.trainable = trainable
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h, c, h_n if slots is None else None, slots)
        return h_n if c_n is None else (h_n, c_n)

    @staticmethod
    def backward(ctx: Any, grad_h_n: Tensor | None, grad_c_n: Tensor | None = None) -> tuple[Tensor | None, ...]:
        x, h, c, h_n, slots = ctx.saved_tensors
        trainable: TrainableWeights = ctx.trainable
        grad = grad_h_n if grad_c_n is None else grad_c_n
        if grad is None:
            return None, None, None, None, None
        _, _, needs_x, needs_h, needs_c = ctx.needs_input_grad
        current = None if trainable.gradients is None else trainable.gradients.current_pass(trainable)
        if needs_graph((grad_h_n, grad_c_n)):
            trainable.refuse_changes()
            absent = (None,) * len(trainable.packed.absent)
            trained = trainable.requires_grad if current is not None else (False,) * len(trainable.weights)
            needs = (needs_x, needs_h, needs_c, *trained, *(False,) * len(absent))
            arguments = [x, h, c, *trainable.weights, *absent]
            grads = (None, grad_h_n, grad_c_n, None)
            grad_x, grad_h, grad_c, *grad_weights = differentiable_backward(
                trainable.packed.plan, False, arguments, needs, grads
            )
            if current is not None:
                current.add_graph(grad_weights[: len(trained)])
            return None, None, grad_x, grad_h, grad_c
        if not x.is_contiguous():
            x = x.contiguous()
        grad_x = torch.empty_like(x) if needs_x else None
        grad_h = torch.empty_like(h) if needs_h else None
        grad_c = torch.empty_like(c) if needs_c else None
        if grad_h_n is not None:
            grad_h_n = grad_h_n.contiguous()
        if grad_c_n is not None:
            grad_c_n = grad_c_n.contiguous()
        slots_address = address(slots)
        (current or BackwardPass(trainable, False)).step(
            x, h, address(c), (h if h_n is None else h_n).data_ptr(), slots_address,
            0 if c is None else slots_address + len(x) * trainable.slots_bytes, address(grad_h_n), address(grad_c_n),
            address(grad_x), address(grad_h), address(grad_c),
        )  # fmt: skip
        return None, None, grad_x, grad_h, grad_c


apply_step: Any = super(torch.autograd.Function, CellFunction).apply
"""``CellFunction.apply`` without its check for transforms. ``EagerCell.step`` has checked that there are none."""
