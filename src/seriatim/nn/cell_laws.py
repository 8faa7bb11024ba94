"""Laws that every cell must keep, and ``check_cell``, which tests a cell of a user's own against them.

Each law builds a layer in float64, runs it in two ways that must agree, and measures how far the results differ:
the largest |a - b| / (1 + |b|) over all elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from seriatim.errors import UsageError
from seriatim.nn.batch_layout import Lengths
from seriatim.nn.custom_cell import Cell, Maker
from seriatim.nn.custom_layer import Recurrent
from seriatim.nn.sequence import SequenceLayer

LayerFactory: TypeAlias = Callable[[], SequenceLayer]
"""Builds a new time-major layer in float64 that reads from the first step only."""


@dataclass(frozen=True)
class Law:
    """A statement about a layer, and how far a layer may be from it."""

    statement: str
    measure: Callable[[LayerFactory], float]
    """How far a layer is from the statement."""
    tolerance: float


def check_cell(maker: Maker, input_size: int = 3, hidden_size: int = 4, *, seed: int = 0) -> None:
    """Check that a cell of your own keeps the laws: ``LAWS`` lists them.

    ``maker`` is a subclass of ``Cell``, the result of ``cell``, or any function (input size, hidden size) → ``Cell``.
    The cell runs in float64 on random inputs x [T, B, I] with few steps and rows; the global random state does not
    change. Raises ``UsageError`` with one line for each broken law: its name, the size of the difference and the
    tolerance. An error that the cell raises is not caught. Gradients are compared with finite differences, which can
    mislead where a cell has a kink, as relu has: try another ``seed``.

    >>> from seriatim.nn import cell
    >>> check_cell(cell(lambda x, h, w, u: torch.relu(x @ w.T + u * h), {"w": ("H", "I"), "u": ("H",)}))
    >>> check_cell(cell(lambda x, h, w: torch.tanh(x @ w.T + h.mean(0)), {"w": ("H", "I")}))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    seriatim.errors.UsageError: maker: StepCell breaks 1 law of 7
      rows: the rows of a batch do not affect each other; difference ..., tolerance 0
    """
    with torch.random.fork_rng(devices=()):
        sample = maker(input_size, hidden_size)
        if not isinstance(sample, Cell):
            raise UsageError(f"maker: made {type(sample).__name__}, wanted a seriatim.nn.Cell")
        _check_step(sample.double())

    def build() -> SequenceLayer:
        return Recurrent(maker, input_size, hidden_size, dtype=torch.float64)

    broken = []
    for name, law in LAWS.items():
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            difference = law.measure(build)
        if not difference <= law.tolerance:  # a difference of NaN breaks the law too
            broken.append(f"  {name}: {law.statement}; difference {difference:.2g}, tolerance {law.tolerance:g}")
    if broken:
        laws = f"{len(broken)} law{'s' if len(broken) > 1 else ''} of {len(LAWS)}"
        raise UsageError("\n".join([f"maker: {type(sample).__name__} breaks {laws}", *broken]))


def _check_step(cell: Cell) -> None:
    """Check the number, shape and dtype of the states of one step, and that its arguments stay as they are."""
    x = torch.randn(2, cell.input_size, dtype=torch.float64)
    state = tuple(torch.randn(2, size, dtype=torch.float64) for size in cell.state_sizes.values())
    copies = [tensor.clone() for tensor in (x, *state)]
    with torch.no_grad():
        result = cell.step(x, state)
    if not all(torch.equal(tensor, copy) for tensor, copy in zip((x, *state), copies, strict=True)):
        raise UsageError(f"maker: a step of {type(cell).__name__} changed its arguments in place")
    names = list(cell.state_sizes)
    if not isinstance(result, tuple) or len(result) != len(names):
        description = type(result).__name__ + (f" of {len(result)}" if isinstance(result, (tuple, list)) else "")
        raise UsageError(
            f"maker: a step of {type(cell).__name__} returned {description}, wanted a tuple ({', '.join(names)})"
        )
    for name, part, old in zip(names, result, state, strict=True):
        if part.shape != old.shape or part.dtype != old.dtype:
            raise UsageError(
                f"maker: a step of {type(cell).__name__} returned {name} {list(part.shape)} of {part.dtype}, "
                f"wanted {list(old.shape)} of {old.dtype}"
            )


def split_run(build: LayerFactory) -> float:
    """Run 17 steps at once and in segments of 1, 3 and 13 steps, handing the state on."""
    layer = build().eval()
    x = _inputs(layer, 17, 3)
    output, final = _run(layer, x)
    state: tuple[Tensor, ...] | None = None
    segments = []
    for segment in torch.split(x, [1, 3, 13]):
        segment_output, state = _run(layer, segment, state)
        segments.append(segment_output)
    assert state is not None
    return _difference([torch.cat(segments), *state], [output, *final])


def rows(build: LayerFactory) -> float:
    """Change one row of a batch and compare the others."""
    layer = build().eval()
    x, lengths, others = _inputs(layer, 7, 4), [7, 2, 5, 5], [0, 2, 3]
    state = _first_state(layer, 4)
    output, final = _run(layer, x, state, lengths)
    x[:, 1] += 10.0
    state[0][:, 1] += 10.0
    changed_output, changed_final = _run(layer, x, state, lengths)
    return _difference(
        [part[:, others] for part in (changed_output, *changed_final)], [part[:, others] for part in (output, *final)]
    )


def padding(build: LayerFactory) -> float:
    """Change the values beyond the ends of rows, and how many there are; output beyond an end is 0."""
    layer = build().eval()
    lengths = torch.tensor([2, 7, 4])
    x, state = _inputs(layer, 7, 3), _first_state(layer, 3)
    output, final = _run(layer, x, state, lengths)
    beyond = (torch.arange(9)[:, None] >= lengths)[:, :, None]
    longer = torch.where(beyond, 10.0, torch.cat([x, x[:2]]))
    longer_output, longer_final = _run(layer, longer, state, lengths)
    empty = longer_output.masked_select(beyond)
    return _difference([longer_output[:7], *longer_final, empty], [output, *final, torch.zeros_like(empty)])


def gradient(build: LayerFactory) -> float:
    """Compare the slope along a random direction of all arguments with finite differences: the median of three.

    The difference formula of fourth order with step 1e-5 has an error of about 1e-11 from rounding.
    """
    return sorted(_gradient_error(build()) for _ in range(3))[1]


def _gradient_error(layer: SequenceLayer) -> float:
    layer.eval()
    arguments = [_inputs(layer, 4, 2), *_first_state(layer, 2), *(weight.detach() for weight in layer.parameters())]
    directions = [torch.randn_like(value) for value in arguments]
    names = [name for name, _ in layer.named_parameters()]
    count = len(layer.state_sizes)

    def loss(values: Iterable[Tensor]) -> Tensor:
        x, *rest = values
        state = tuple(rest[:count])
        weights = dict(zip(names, rest[count:], strict=True))
        output, final = torch.func.functional_call(layer, weights, (x, _as_argument(state)), {"lengths": [4, 2]})
        return torch.stack([(part * (1 + part)).sum() for part in (output, *_as_tuple(final))]).sum()

    def moved(step: float) -> float:
        with torch.no_grad():
            return loss(value + step * way for value, way in zip(arguments, directions, strict=True)).item()

    leaves = [value.clone().requires_grad_() for value in arguments]
    gradients = torch.autograd.grad(loss(leaves), leaves, materialize_grads=True)
    slope = sum(float((part * way).sum()) for part, way in zip(gradients, directions, strict=True))
    expected = (8 * (moved(1e-5) - moved(-1e-5)) - (moved(2e-5) - moved(-2e-5))) / 12e-5
    return abs(slope - expected) / (1 + abs(expected))


def saving(build: LayerFactory) -> float:
    """Load the ``state_dict`` of a layer into a new one and run both."""
    layer, copy = build().eval(), build().eval()
    copy.load_state_dict(layer.state_dict())
    x = _inputs(layer, 7, 3)
    output, final = _run(layer, x)
    copied_output, copied_final = _run(copy, x)
    return _difference([copied_output, *copied_final], [output, *final])


def seed(build: LayerFactory) -> float:
    """Build a layer, run it in training mode and differentiate it, twice from the same random state."""
    start = torch.random.get_rng_state()
    results = []
    for _ in range(2):
        torch.random.set_rng_state(start)
        layer = build().train()
        output, final = _run(layer, _inputs(layer, 7, 3))
        loss = torch.stack([part.square().sum() for part in (output, *final)]).sum()
        gradients = torch.autograd.grad(loss, list(layer.parameters()), materialize_grads=True)
        results.append([output, *final, *gradients])
    return _difference(*results)


def reset(build: LayerFactory) -> float:
    """Reset all rows after four steps, and start the other steps from a zero state."""
    layer = build().eval()
    x, state = _inputs(layer, 9, 2), _first_state(layer, 2)
    marks = torch.zeros(9, 2, dtype=torch.bool)
    marks[4] = True
    output, final = layer(x, _as_argument(state), reset=marks)
    fresh_output, fresh_final = _run(layer, x[4:])
    return _difference([output[4:], *_as_tuple(final)], [fresh_output, *fresh_final])


LAWS = {
    "split run": Law("a run in segments equals the whole run", split_run, 1e-12),
    "rows": Law("the rows of a batch do not affect each other", rows, 0.0),
    "padding": Law("padding after the end of a row changes nothing", padding, 1e-12),
    "gradient": Law("gradients equal finite differences", gradient, 1e-7),
    "saving": Law("a new layer with the same state_dict computes the same", saving, 0.0),
    "seed": Law("the same seed gives the same result", seed, 0.0),
    "reset": Law("a reset equals a fresh start", reset, 1e-12),
}
"""The laws by name. Where the tolerance is 0 the same sums are taken in the same order, so results are bit-equal; 1e-12
allows for another order of a few hundred terms in float64."""


def _inputs(layer: SequenceLayer, steps: int, batch: int) -> Tensor:
    return torch.randn(steps, batch, layer.input_size, dtype=torch.float64)


def _first_state(layer: SequenceLayer, batch: int) -> tuple[Tensor, ...]:
    """A state that is not zero. It is positive, since some states, such as a normaliser, are never below zero."""
    sizes = layer.state_sizes.values()
    return tuple(torch.rand(layer.num_layers, batch, size, dtype=torch.float64) + 0.5 for size in sizes)


def _run(
    layer: SequenceLayer, x: Tensor, state: tuple[Tensor, ...] | None = None, lengths: Lengths | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    hx = None if state is None else _as_argument(state)
    output, final = layer(x, hx, lengths=lengths)
    return output, _as_tuple(final)


def _as_argument(state: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    return state if len(state) > 1 else state[0]


def _as_tuple(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def _difference(values: Iterable[Tensor], references: Iterable[Tensor]) -> float:
    """The largest |a - b| / (1 + |b|) over all elements; NaN if any is NaN."""
    largest = [
        ((value - reference).abs() / (1 + reference.abs())).max().item()
        for value, reference in zip(values, references, strict=True)
        if value.numel()
    ]
    return float(torch.tensor(largest, dtype=torch.float64).max())
