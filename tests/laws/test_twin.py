"""The operators compute what the twin computes.

Metric: relative RMS, √(Σ(a - b)² / Σb²), of each of: output, final states, c and gates of every step, and the gradients
of input, first states and every weight. Tolerance: 1e-12 in float64, where both round about 1e-16 in each of a few
thousand sums; 2e-6 in float32 (rounding 6e-8) against the twin in float64. Layer normalisation makes a result depend
more strongly on its arguments, so there the tolerance is, if that is more, ten times the most that the twin in float64
moves when, four times, its arguments move by one rounding; and so for the diagonal cells, whose gradient of a single
input can be a difference of nearly equal numbers. Layer normalisation gets two inputs at least, since the scale of a
single one is divided out, and what is left of its gradient is a difference of equal numbers.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seriatim.kernels import reference
from seriatim.ops.recurrence import IMPLEMENTATIONS, recurrence, recurrence_with_states, step

TOLERANCE = {np.float64: 1e-12, np.float32: 2e-6}
SIZES = [(1, 1, 1, 3), (3, 17, 1, 33), (17, 3, 33, 17), (8, 4, 16, 32)]
"""T, B, I, H."""


def relative_rms(found, wanted):
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    return float(np.sqrt(np.square(found - wanted).sum() / max(np.square(wanted).sum(), 1e-300)))


def everything_by_twin(made):
    """Every result and every gradient that the walk of ``made`` has."""
    output, final, saved = reference.forward(made.spec, made.x, made.state, made.weights, made.walk)
    of_cells = None if saved.cells is None else np.cos(saved.cells)
    grad_x, grad_state, grad_weights = reference.backward(
        made.spec, np.cos(output), tuple(map(np.sin, final)), saved, of_cells
    )
    gates = dict(zip(made.spec.gates, np.moveaxis(saved.gates, 2, 0), strict=True))
    gates |= dict(zip(made.spec.states[1:], saved.inner, strict=True))
    inside = [gates[name] for name in made.spec.traced]
    return [output, *final, *inside, grad_x, *grad_state, *grad_weights.present()]


def everything_by_ops(made):
    x, state, weights = made.tensors(requires_grad=True)
    arguments = [x, *state, *weights.present()]
    output, final, inside = recurrence_with_states(made.spec, x, state, weights, made.tensor_walk())
    assert tuple(inside) == made.spec.traced
    second = [inside[name] for name in made.spec.states[1:2]]
    results = [output, *final, *second]
    seeds = [
        output.detach().cos(),
        *(one.detach().sin() for one in final),
        *(one.detach().cos() for one in second),
    ]
    gradients = torch.autograd.grad(results, arguments, seeds, materialize_grads=True)

    again, ended = recurrence(made.spec, x, state, weights, made.tensor_walk())
    assert relative_rms(again.detach(), output.detach()) < TOLERANCE[made.x.dtype.type]
    assert max(relative_rms(*pair) for pair in zip(detached(ended), detached(final), strict=True)) < 2e-6
    return [one.detach().numpy() for one in (output, *final, *inside.values(), *gradients)]


def detached(state):
    return [one.detach() for one in state]


def errors_of(found, wanted):
    return [relative_rms(one, other) for one, other in zip(found, wanted, strict=True)]


def tolerances(made, wanted):
    """One for each result."""
    dtype = made.x.dtype.type
    exact, random = made.astype(np.float64), np.random.default_rng(0)
    if not (exact.spec.layer_norm or exact.spec.is_diagonal):
        return [TOLERANCE[dtype]] * len(wanted)

    def rounded(one):
        return None if one is None else one * (1 + np.finfo(dtype).eps * random.choice([-1, 1], one.shape))

    def moved():
        weights = type(exact.weights)(*map(rounded, exact.weights.as_list()))
        made = dataclasses.replace(exact, x=rounded(exact.x), state=tuple(map(rounded, exact.state)), weights=weights)
        return errors_of(everything_by_twin(made), wanted)

    return [
        max(TOLERANCE[dtype], *(10 * error for error in errors))
        for errors in zip(*(moved() for _ in range(4)), strict=True)
    ]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_operators_are_the_twin(variant, problem, size, dtype):
    steps, rows, inputs, hidden = size
    if variant.options.get("layer_norm"):
        inputs = max(inputs, 2)
    for asks in ((), ("lengths",), ("lengths", "reverse")):
        made = problem(steps, rows, inputs, hidden, dtype, asks)
        wanted = everything_by_twin(made.astype(np.float64))
        errors, allowed = errors_of(everything_by_ops(made), wanted), tolerances(made, wanted)
        assert all(error < most for error, most in zip(errors, allowed, strict=True)), (asks, errors, allowed)


def test_every_walk_is_the_twins(variant, problem, asks):
    made = problem(5, 4, 7, 6, asks=asks)
    errors = errors_of(everything_by_ops(made), everything_by_twin(made))
    assert max(errors) < TOLERANCE[np.float64], errors


def test_every_implementation_is_the_twin(variant, problem, asks):
    """Whichever comes first in the table, all that fit are the same."""
    made = problem(5, 4, 7, 6, asks=asks)
    x, state, weights = made.tensors()
    output, final, _ = reference.forward(made.spec, made.x, made.state, made.weights, made.walk)
    for one in IMPLEMENTATIONS:
        if one.fits(made.spec, x, made.tensor_walk()):
            found, ended = one.run(made.spec, x, state, weights, made.tensor_walk())
            errors = errors_of([found, *ended], [output, *final])
            assert max(errors) < TOLERANCE[np.float64], (one.name, errors)


def test_one_step_is_the_twins(variant, problem):
    made = problem(1, 3, 7, 6)
    x, state, weights = made.tensors()
    wanted = reference.step(made.spec, made.x[0], made.state, made.weights)
    for found, twin in zip(step(made.spec, x[0], state, weights), wanted, strict=True):
        assert relative_rms(found, twin) < TOLERANCE[np.float64]


def test_float32_stays_float32_in_the_twin(variant, problem):
    found = everything_by_twin(problem(3, 2, 3, 4, np.float32, ("lengths", "reset", "dropout", "zoneout")))
    assert {one.dtype for one in found} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
def test_a_wrong_weight_would_be_seen(variant, problem, dtype):
    """The tests above can fail: one weight that is a little off moves the metric by ten tolerances or more."""
    made = problem(17, 3, 33, 17, dtype)
    wanted = everything_by_twin(made.astype(np.float64))
    wrong = made.weights.w_ih if made.weights.w_hh is None else made.weights.w_hh
    wrong[-1, 1] += {np.float64: 1e-8, np.float32: 5e-3}[dtype]
    errors = errors_of(everything_by_ops(made), wanted)
    assert errors[0] > 10 * TOLERANCE[dtype], errors


def test_swapped_gates_would_be_seen(variant, problem):
    made = problem(5, 3, 4, 6)
    gates = len(made.spec.gates)
    if gates == 1:  # then its rows take the gates' place
        gates = made.spec.hidden_size
    wanted = everything_by_twin(made)
    for first in range(gates - 1):
        order = np.arange(gates)
        order[[first, first + 1]] = order[[first + 1, first]]
        swapped = {
            name: value.reshape(gates, -1, *value.shape[1:])[order].reshape(value.shape)
            for name in ("w_ih", "w_hh", "b_ih", "b_hh")
            if (value := getattr(made.weights, name)) is not None
        }
        wrong = dataclasses.replace(made, weights=dataclasses.replace(made.weights, **swapped))
        assert relative_rms(everything_by_ops(wrong)[0], wanted[0]) > 1e-3
