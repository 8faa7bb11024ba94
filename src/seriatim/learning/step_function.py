"""One step of a model as a function of its weights and one row's state: what is differentiated forward in time.

Nothing here knows what the model is made of. Letters: S numbers of state per row, N of the weights that reach the
state, B rows; s is a row's state as one vector, θ the weights that reach it as one vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, final

import torch
from torch import Tensor, func, nn
from torch.func import functional_call

from seriatim.errors import UsageError
from seriatim.models.contract import Carry, Segment, StreamModel, tensors, with_tensors

Function: TypeAlias = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Data: TypeAlias = dict[str, Tensor]
Pull: TypeAlias = Callable[[tuple[Tensor, Tensor]], tuple[Tensor, Tensor, Tensor]]


class Weights(NamedTuple):
    """All weights of a model at one time."""

    theta: Tensor
    """[N]: those that reach the state."""
    head: Tensor
    """[·]: the other trained ones."""
    constants: Mapping[str, Tensor]
    """Those that are not trained."""


@final
class StepFunction:
    """The step function of ``model`` for batches like ``batch`` that go on from ``carry``.

    Raises ``UsageError`` for a carry that is not of floating-point numbers, or that grows.
    """

    def __init__(self, learner: str, model: StreamModel[Any], batch: Segment, carry: Carry) -> None:
        self.called = _Called(model)
        self.batch = batch.cut(0, 1)
        self.rows = next(iter(tensors(batch).values())).shape[1]
        trained = {name: one for name, one in self.called.named_parameters() if one.requires_grad}
        self.constants = {name: one for name, one in self.called.named_parameters() if not one.requires_grad}
        with model.plain_steps(), torch.enable_grad():
            after = model.advance(self.batch, carry)
            again = model.advance(self.batch, after)
            if any(not one.is_floating_point() for one in after):
                raise UsageError(f"learner: {learner} wants a state of floating-point numbers, which "
                                 f"{type(model).__name__} does not carry")  # fmt: skip
            shapes = [one.shape for one in after]
            if shapes != [one.shape for one in again] or not after:
                raise UsageError(f"learner: {learner} wants a state of fixed size, as recurrent layers have it; that "
                                 f"of {type(model).__name__} grows")  # fmt: skip
            whole = torch.stack([one.sum() for one in again]).sum()
            reached = torch.autograd.grad(whole, list(trained.values()), allow_unused=True)
        pairs = list(zip(trained.items(), reached, strict=True))
        self.inner = {name: one for (name, one), gradient in pairs if gradient is not None}
        self.outer = {name: one for (name, one), gradient in pairs if gradient is None}
        self.shapes = [(*one.shape[:1], *one.shape[2:]) for one in after]
        """Of a row's parts of the state."""
        self.like = flat(self.inner.values())
        """θ as it was: for its length, dtype and device."""

    @property
    def size(self) -> int:
        """S."""
        return sum(torch.Size(shape).numel() for shape in self.shapes)

    def weights(self) -> Weights:
        """As they are now."""
        theta = flat(self.inner.values())
        return Weights(theta, flat(self.outer.values()) if self.outer else theta[:0], self.constants)

    def row_states(self, carry: Carry) -> Tensor:
        """The state of every row as a vector, [B, S]; [B, 0] where streams begin."""
        if not carry:
            return self.like.new_zeros(self.rows, 0)
        return torch.cat([one.movedim(1, 0).flatten(1) for one in carry], 1)

    def carry(self, states: Tensor) -> Carry:
        """The opposite of ``row_states``."""
        pieces = states.split_with_sizes([torch.Size(shape).numel() for shape in self.shapes], 1)
        rows = len(states)
        return tuple(
            one.reshape(rows, *shape).movedim(0, 1).contiguous() for one, shape in zip(pieces, self.shapes, strict=True)
        )

    def of_row(self, constants: Mapping[str, Tensor], data: Data) -> Function:
        """(θ, head, s) → the loss and the next s, for one row's ``data``; an s of no numbers begins a stream."""

        def run(theta: Tensor, head: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
            weights = {**constants, **unflat(theta, self.inner), **unflat(head, self.outer)}
            batch = with_tensors(self.batch, {name: one[None, None] for name, one in data.items()})
            loss, after = functional_call(self.called, weights, (batch, self.carry(s[None]) if len(s) else ()))
            return loss, torch.cat([one.squeeze(1).flatten() for one in after])

        return run

    def pulled(self, weights: Weights, data: Data, s: Tensor) -> tuple[Tensor, Tensor, Pull]:
        """The loss, the next s, and the function from their cotangents to those of (θ, head, s)."""
        (loss, after), pull = vjp(self.of_row(weights.constants, data), weights.theta, weights.head, s)
        return loss, after, pull

    def leave(self, theta: Tensor, head: Tensor) -> None:
        """Put gradients [N] and [·] where an optimizer finds them."""
        for given, named in ((theta, self.inner), (head, self.outer)):
            for name, gradient in unflat(given, named).items():
                parameter = named[name]
                parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient


def vjp(function: Callable[..., Any], *given: Tensor) -> tuple[Any, Any]:
    """Give what ``function`` makes of ``given``, and the function from its cotangents to theirs."""
    made, pull = func.vjp(function, *given)[:2]
    return made, pull


class _Called(nn.Module):
    """The loss of a model as its forward, for ``functional_call``."""

    def __init__(self, model: StreamModel[Any]) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Segment, carry: Carry) -> tuple[Tensor, Carry]:
        return self.model.loss(batch, carry)


def iterate_steps(batch: Segment) -> Iterator[Data]:
    """The data of each step, [B, …] each."""
    named = tensors(batch)
    for t in range(batch.steps):
        yield {name: one[t] for name, one in named.items()}


def flat(parts: object) -> Tensor:
    """Many tensors as one vector, without their history."""
    return torch.cat([one.detach().flatten() for one in parts])  # type: ignore[attr-defined]


def unflat(vector: Tensor, like: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """The opposite of ``flat``, by name."""
    pieces = vector.split_with_sizes([one.numel() for one in like.values()])
    return {name: piece.view(one.shape) for (name, one), piece in zip(like.items(), pieces, strict=True)}
