"""One step of a model as a function of its weights and of one row's state, for gradients that go forward in time.

This file does not know what the model consists of. Letters: B rows; s [S] is a row's state as one vector; θ [N] holds
the recurrent weights, those that the state depends on, as one vector. The other weights only affect the readout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, final

import torch
from torch import Tensor, func, nn
from torch.func import functional_call

from seriatim.errors import UsageError
from seriatim.models.contract import Carry, Segment, StreamModel, tensors, with_tensors

RowFunction: TypeAlias = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Data: TypeAlias = dict[str, Tensor]
Pullback: TypeAlias = Callable[[tuple[Tensor, Tensor]], tuple[Tensor, Tensor, Tensor]]


class ModelWeights(NamedTuple):
    """All weights of a model at one time."""

    theta: Tensor
    """[N]: the trained weights that the state depends on."""
    readout: Tensor
    """[M]: the other trained weights."""
    constants: Mapping[str, Tensor]
    """The weights that are not trained."""


@final
class StepFunction:
    """The step function of ``model``, for batches like ``batch`` that continue from ``carry``.

    Raises ``UsageError`` for a carry that has other numbers than floating-point ones, or that grows.
    """

    def __init__(self, learner: str, model: StreamModel[Any], batch: Segment, carry: Carry) -> None:
        self.loss_module = _LossModule(model)
        self.batch = batch.cut(0, 1)
        self.rows = next(iter(tensors(batch).values())).shape[1]
        parameters = dict(self.loss_module.named_parameters())
        trained = {name: weight for name, weight in parameters.items() if weight.requires_grad}
        self.constants = {name: weight for name, weight in parameters.items() if not weight.requires_grad}
        with model.plain_steps(), torch.enable_grad():
            first = model.advance(self.batch, carry)
            second = model.advance(self.batch, first)
            if any(not part.is_floating_point() for part in first):
                raise UsageError(f"learner: {learner} wants a state of floating-point numbers, which "
                                 f"{type(model).__name__} does not carry")  # fmt: skip
            shapes = [part.shape for part in first]
            if shapes != [part.shape for part in second] or not first:
                raise UsageError(f"learner: {learner} wants a state of fixed size, as recurrent layers have it; that "
                                 f"of {type(model).__name__} grows")  # fmt: skip
            total = torch.stack([part.sum() for part in second]).sum()
            gradients = torch.autograd.grad(total, list(trained.values()), allow_unused=True)
        pairs = list(zip(trained.items(), gradients, strict=True))
        self.recurrent = {name: weight for (name, weight), gradient in pairs if gradient is not None}
        self.readout = {name: weight for (name, weight), gradient in pairs if gradient is None}
        self.shapes = [(*part.shape[:1], *part.shape[2:]) for part in first]
        """The shapes of the parts of one row's state."""
        self.template = flatten(self.recurrent.values())
        """A θ, for its length, dtype and device."""

    @property
    def size(self) -> int:
        """S."""
        return sum(torch.Size(shape).numel() for shape in self.shapes)

    def weights(self) -> ModelWeights:
        """Return the current weights."""
        theta = flatten(self.recurrent.values())
        return ModelWeights(theta, flatten(self.readout.values()) if self.readout else theta[:0], self.constants)

    def row_states(self, carry: Carry) -> Tensor:
        """Return the state of each row as a vector: [B, S], or [B, 0] where streams begin."""
        if not carry:
            return self.template.new_zeros(self.rows, 0)
        return torch.cat([part.movedim(1, 0).flatten(1) for part in carry], 1)

    def carry(self, states: Tensor) -> Carry:
        """Return the carry of ``states`` [B, S]; the inverse of ``row_states``."""
        parts = states.split_with_sizes([torch.Size(shape).numel() for shape in self.shapes], 1)
        rows = len(states)
        return tuple(
            part.reshape(rows, *shape).movedim(0, 1).contiguous()
            for part, shape in zip(parts, self.shapes, strict=True)
        )

    def row_function(self, constants: Mapping[str, Tensor], data: Data) -> RowFunction:
        """Return the function (θ, readout, s) → (loss, next s) for one row's ``data``.

        It takes an s of length 0 where a stream begins.
        """

        def run(theta: Tensor, readout: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
            weights = {**constants, **unflatten(theta, self.recurrent), **unflatten(readout, self.readout)}
            batch = with_tensors(self.batch, {name: value[None, None] for name, value in data.items()})
            carry = self.carry(s[None]) if len(s) else ()
            loss, next_carry = functional_call(self.loss_module, weights, (batch, carry))
            return loss, torch.cat([part.squeeze(1).flatten() for part in next_carry])

        return run

    def run_with_pullback(self, weights: ModelWeights, data: Data, s: Tensor) -> tuple[Tensor, Tensor, Pullback]:
        """Return the loss, the next s, and the function from their cotangents to the cotangents of (θ, readout, s)."""
        run = self.row_function(weights.constants, data)
        (loss, s_next), pullback = vjp(run, weights.theta, weights.readout, s)
        return loss, s_next, pullback

    def accumulate_grad(self, theta: Tensor, readout: Tensor) -> None:
        """Add gradients [N] and [M] to ``.grad`` of the parameters."""
        for gradients, parameters in ((theta, self.recurrent), (readout, self.readout)):
            for name, gradient in unflatten(gradients, parameters).items():
                parameter = parameters[name]
                parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient


def vjp(function: Callable[..., Any], *arguments: Tensor) -> tuple[Any, Any]:
    """Return the result of ``function``, and the function from its cotangents to the cotangents of ``arguments``."""
    result, pullback = func.vjp(function, *arguments)[:2]
    return result, pullback


class _LossModule(nn.Module):
    """A module whose forward is the loss of a model, for ``functional_call``."""

    def __init__(self, model: StreamModel[Any]) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Segment, carry: Carry) -> tuple[Tensor, Carry]:
        return self.model.loss(batch, carry)


def iterate_steps(batch: Segment) -> Iterator[Data]:
    """Yield the data of each step, tensors [B, …]."""
    named = tensors(batch)
    for t in range(batch.steps):
        yield {name: tensor[t] for name, tensor in named.items()}


def flatten(parts: Iterable[Tensor]) -> Tensor:
    """Return tensors as one vector, without their autograd history."""
    return torch.cat([part.detach().flatten() for part in parts])


def unflatten(vector: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parts of ``vector`` by name, in the shapes of ``parameters``; the inverse of ``flatten``."""
    parts = vector.split_with_sizes([parameter.numel() for parameter in parameters.values()])
    return {name: part.view(parameter.shape) for (name, parameter), part in zip(parameters.items(), parts, strict=True)}
