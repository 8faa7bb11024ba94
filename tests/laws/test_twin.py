"""The operators compute what the twin computes.

Metric: relative RMS, √(Σ(a - b)² / Σb²), of each of: output, final states, and the gradients of input, first states
and every weight. Tolerance: 1e-12 in float64, where both round about 1e-16 in each of a few thousand sums; 2e-6 in
float32 (rounding 6e-8) against the twin in float64.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seriatim.kernels import reference
from seriatim.ops.recurrence import recurrence, step, using

TOLERANCE = {np.float64: 1e-12, np.float32: 2e-6}
SIZES = [(1, 1, 1, 3), (3, 17, 1, 33), (17, 3, 33, 17), (8, 4, 16, 32)]
"""T, B, I, H."""


def relative_rms(found, wanted):
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    return float(np.sqrt(np.square(found - wanted).sum() / max(np.square(wanted).sum(), 1e-300)))


def ragged(steps, rows):
    return np.random.default_rng(rows).integers(1, steps + 1, rows)


def everything_by_twin(made, lengths, reverse):
    output, final, saved = reference.forward(made.spec, made.x, made.state, made.weights, lengths, reverse)
    grad_x, grad_state, grad_weights = reference.backward(made.spec, np.cos(output), tuple(map(np.sin, final)), saved)
    return [output, *final, grad_x, *grad_state, *grad_weights.present()]


def everything_by_ops(made, lengths, reverse):
    x, state, weights = made.tensors(requires_grad=True)
    lengths = None if lengths is None else torch.from_numpy(lengths)
    output, final = recurrence(made.spec, x, state, weights, lengths, reverse)
    seeds = [output.detach().cos(), *(one.detach().sin() for one in final)]
    gradients = torch.autograd.grad([output, *final], [x, *state, *weights.present()], seeds)
    return [one.detach().numpy() for one in (output, *final, *gradients)]


def in_float64(made):
    weights = {
        field.name: None if value is None else value.astype(np.float64)
        for field in dataclasses.fields(made.weights)
        for value in [getattr(made.weights, field.name)]
    }
    state = tuple(one.astype(np.float64) for one in made.state)
    return dataclasses.replace(
        made, x=made.x.astype(np.float64), state=state, weights=dataclasses.replace(made.weights, **weights)
    )


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_operators_are_the_twin(variant, problem, size, dtype, reverse):
    made = problem(*size, dtype)
    for lengths in (None, ragged(*size[:2])):
        found = everything_by_ops(made, lengths, reverse)
        wanted = everything_by_twin(in_float64(made), lengths, reverse)
        errors = [relative_rms(one, other) for one, other in zip(found, wanted, strict=True)]
        assert max(errors) < TOLERANCE[dtype], errors


def test_both_implementations_are_the_twin(variant, problem):
    made = problem(5, 3, 7, 6)
    lengths = np.array([5, 2, 2])
    with using("composed"):
        found = everything_by_ops(made, lengths, True)
    errors = [relative_rms(*pair) for pair in zip(found, everything_by_twin(made, lengths, True), strict=True)]
    assert max(errors) < TOLERANCE[np.float64], errors


def test_one_step_is_the_twins(variant, problem):
    made = problem(1, 3, 7, 6)
    x, state, weights = made.tensors()
    wanted = reference.step(made.spec, made.x[0], made.state, made.weights)
    for found, twin in zip(step(made.spec, x[0], state, weights), wanted, strict=True):
        assert relative_rms(found, twin) < TOLERANCE[np.float64]


def test_float32_stays_float32_in_the_twin(variant, problem):
    found = everything_by_twin(problem(3, 2, 3, 4, np.float32), np.array([3, 1]), False)
    assert {one.dtype for one in found} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
def test_a_wrong_weight_would_be_seen(variant, problem, dtype):
    """The tests above can fail: one weight that is a little off moves the metric by ten tolerances or more."""
    made = problem(17, 3, 33, 17, dtype)
    wanted = everything_by_twin(in_float64(made), None, False)
    made.weights.w_hh[3, 1] += {np.float64: 1e-8, np.float32: 5e-3}[dtype]
    errors = [relative_rms(*pair) for pair in zip(everything_by_ops(made, None, False), wanted, strict=True)]
    assert errors[0] > 10 * TOLERANCE[dtype], errors


def test_swapped_gates_would_be_seen(variant, problem):
    made = problem(5, 3, 4, 6)
    gates = len(made.spec.gates)
    if gates == 1:  # then its rows take the gates' place
        gates = made.spec.hidden_size
    wanted = everything_by_twin(made, None, False)
    for first in range(gates - 1):
        order = np.arange(gates)
        order[[first, first + 1]] = order[[first + 1, first]]
        swapped = {
            name: value.reshape(gates, -1, *value.shape[1:])[order].reshape(value.shape)
            for name in ("w_ih", "w_hh", "b_ih", "b_hh")
            if (value := getattr(made.weights, name)) is not None
        }
        wrong = dataclasses.replace(made, weights=dataclasses.replace(made.weights, **swapped))
        assert relative_rms(everything_by_ops(wrong, None, False)[0], wanted[0]) > 1e-3
