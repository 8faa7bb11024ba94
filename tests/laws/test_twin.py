"""The operators and the twin compute the same.

Metric: relative RMS, √(Σ(a - b)² / Σb²), for each of: output, final states, c and gates of all steps, and the gradients
of the input, the first states and each weight. Tolerance: 1e-12 in float64, where both round by about 1e-16 in each of
a few thousand sums; 2e-6 in float32 (rounding 6e-8) against the twin in float64.

With layer normalisation a result depends more strongly on its arguments. There the tolerance is at least ten times the
largest change of the twin in float64 when its arguments change by one rounding, in four random tries. The same holds
for the diagonal cells, whose gradient of a single input can be a difference of nearly equal numbers. Layer
normalisation gets at least two inputs: the scale of a single input is divided out, so its gradient is a difference of
equal numbers.
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


def relative_rms(result, expected):
    result, expected = np.asarray(result, np.float64), np.asarray(expected, np.float64)
    return float(np.sqrt(np.square(result - expected).sum() / max(np.square(expected).sum(), 1e-300)))


def everything_by_twin(problem):
    """All results and gradients of ``problem``, by the twin."""
    output, final, saved = reference.forward(problem.spec, problem.x, problem.state, problem.weights, problem.walk)
    of_cells = None if saved.cells is None else np.cos(saved.cells)
    grad_x, grad_state, grad_weights = reference.backward(
        problem.spec, np.cos(output), tuple(map(np.sin, final)), saved, of_cells
    )
    gates = dict(zip(problem.spec.gates, np.moveaxis(saved.gates, 2, 0), strict=True))
    gates |= dict(zip(problem.spec.states[1:], saved.inner, strict=True))
    other_states = [gates[name] for name in problem.spec.traced]
    return [output, *final, *other_states, grad_x, *grad_state, *grad_weights.present()]


def everything_by_ops(problem):
    x, state, weights = problem.tensors(requires_grad=True)
    arguments = [x, *state, *weights.present()]
    output, final, other_states = recurrence_with_states(problem.spec, x, state, weights, problem.tensor_walk())
    assert tuple(other_states) == problem.spec.traced
    second = [other_states[name] for name in problem.spec.states[1:2]]
    results = [output, *final, *second]
    seeds = [
        output.detach().cos(),
        *(value.detach().sin() for value in final),
        *(value.detach().cos() for value in second),
    ]
    gradients = torch.autograd.grad(results, arguments, seeds, materialize_grads=True)

    again, last = recurrence(problem.spec, x, state, weights, problem.tensor_walk())
    assert relative_rms(again.detach(), output.detach()) < TOLERANCE[problem.x.dtype.type]
    assert max(relative_rms(*pair) for pair in zip(detached(last), detached(final), strict=True)) < 2e-6
    return [value.detach().numpy() for value in (output, *final, *other_states.values(), *gradients)]


def detached(state):
    return [value.detach() for value in state]


def errors_of(result, expected):
    return [relative_rms(value, reference) for value, reference in zip(result, expected, strict=True)]


def tolerances(problem, expected):
    """A tolerance for each result."""
    dtype = problem.x.dtype.type
    exact, random = problem.astype(np.float64), np.random.default_rng(0)
    if not (exact.spec.layer_norm or exact.spec.is_diagonal):
        return [TOLERANCE[dtype]] * len(expected)

    def rounded(value):
        return None if value is None else value * (1 + np.finfo(dtype).eps * random.choice([-1, 1], value.shape))

    def moved():
        weights = type(exact.weights)(*map(rounded, exact.weights.as_list()))
        problem = dataclasses.replace(
            exact, x=rounded(exact.x), state=tuple(map(rounded, exact.state)), weights=weights
        )
        return errors_of(everything_by_twin(problem), expected)

    return [
        max(TOLERANCE[dtype], *(10 * error for error in errors))
        for errors in zip(*(moved() for _ in range(4)), strict=True)
    ]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_operators_equal_the_twin(variant, make_problem, size, dtype):
    steps, rows, inputs, hidden = size
    if variant.options.get("layer_norm"):
        inputs = max(inputs, 2)
    for walk_options in ((), ("lengths",), ("lengths", "reverse")):
        problem = make_problem(steps, rows, inputs, hidden, dtype, walk_options)
        expected = everything_by_twin(problem.astype(np.float64))
        errors, allowed = errors_of(everything_by_ops(problem), expected), tolerances(problem, expected)
        assert all(error < bound for error, bound in zip(errors, allowed, strict=True)), (walk_options, errors, allowed)


def test_operators_equal_the_twin_on_all_walks(variant, make_problem, walk_options):
    problem = make_problem(5, 4, 7, 6, walk_options=walk_options)
    errors = errors_of(everything_by_ops(problem), everything_by_twin(problem))
    assert max(errors) < TOLERANCE[np.float64], errors


def test_implementations_equal_the_twin(variant, make_problem, walk_options):
    """All implementations in the table that fit give the same results."""
    problem = make_problem(5, 4, 7, 6, walk_options=walk_options)
    x, state, weights = problem.tensors()
    output, final, _ = reference.forward(problem.spec, problem.x, problem.state, problem.weights, problem.walk)
    for implementation in IMPLEMENTATIONS:
        if implementation.fits(problem.spec, x, problem.tensor_walk()):
            result, last = implementation.run(problem.spec, x, state, weights, problem.tensor_walk())
            errors = errors_of([result, *last], [output, *final])
            assert max(errors) < TOLERANCE[np.float64], (implementation.name, errors)


def test_step_equals_the_twins(variant, make_problem):
    problem = make_problem(1, 3, 7, 6)
    x, state, weights = problem.tensors()
    expected = reference.step(problem.spec, problem.x[0], problem.state, problem.weights)
    for result, twin in zip(step(problem.spec, x[0], state, weights), expected, strict=True):
        assert relative_rms(result, twin) < TOLERANCE[np.float64]


def test_twin_keeps_float32(variant, make_problem):
    result = everything_by_twin(make_problem(3, 2, 3, 4, np.float32, ("lengths", "reset", "dropout", "zoneout")))
    assert {value.dtype for value in result} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
def test_a_wrong_weight_is_noticed(variant, make_problem, dtype):
    """The tests above can fail: a small change of one weight moves the metric by at least ten tolerances."""
    problem = make_problem(17, 3, 33, 17, dtype)
    expected = everything_by_twin(problem.astype(np.float64))
    wrong = problem.weights.w_ih if problem.weights.w_hh is None else problem.weights.w_hh
    wrong[-1, 1] += {np.float64: 1e-8, np.float32: 5e-3}[dtype]
    errors = errors_of(everything_by_ops(problem), expected)
    assert errors[0] > 10 * TOLERANCE[dtype], errors


def test_swapped_gates_are_noticed(variant, make_problem):
    problem = make_problem(5, 3, 4, 6)
    gates = len(problem.spec.gates)
    if gates == 1:  # a single gate: swap its rows instead
        gates = problem.spec.hidden_size
    expected = everything_by_twin(problem)
    for first in range(gates - 1):
        order = np.arange(gates)
        order[[first, first + 1]] = order[[first + 1, first]]
        swapped = {
            name: value.reshape(gates, -1, *value.shape[1:])[order].reshape(value.shape)
            for name in ("w_ih", "w_hh", "b_ih", "b_hh")
            if (value := getattr(problem.weights, name)) is not None
        }
        wrong = dataclasses.replace(problem, weights=dataclasses.replace(problem.weights, **swapped))
        assert relative_rms(everything_by_ops(wrong)[0], expected[0]) > 1e-3
