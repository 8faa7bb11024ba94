"""Gradients equal finite differences, for the operators and for the twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seriatim.kernels import reference
from seriatim.ops.recurrence import IMPLEMENTATIONS, recurrence, recurrence_with_states, using


def function(problem):
    """The recurrence as a function of tensors alone, for ``gradcheck``, and its arguments."""
    x, state, weights = problem.tensors(requires_grad=True)

    def call(x, *rest):
        output, final = recurrence(
            problem.spec, x, rest[: len(state)], weights.like(rest[len(state) :]), problem.tensor_walk()
        )
        return (output, *final)

    return call, (x, *state, *weights.present())


def test_gradients_equal_finite_differences(variant, make_problem, few_walk_options):
    """By every implementation that runs the cell along the walk."""
    problem = make_problem(4, 3, 2, 3, walk_options=few_walk_options)
    call, arguments = function(problem)
    for implementation in IMPLEMENTATIONS:
        if implementation.fits(problem.spec, arguments[0], problem.tensor_walk()):
            with using(implementation.name):
                assert torch.autograd.gradcheck(call, arguments, fast_mode=True), implementation


@pytest.mark.parametrize("walk_options", [("lengths",), ("lengths", "reverse", "reset", "dropout", "mean")], ids=len)
def test_second_derivatives(variant, make_problem, walk_options):
    call, arguments = function(make_problem(3, 3, 2, 3, walk_options=walk_options))
    with using("composed"):
        assert torch.autograd.gradgradcheck(call, arguments, fast_mode=True)


def test_gradients_of_returned_cell_states(variant, make_problem, few_walk_options):
    """The c that ``recurrence_with_states`` returns is part of the autograd graph."""
    problem = make_problem(3, 3, 2, 3, walk_options=few_walk_options)
    if "c" not in problem.spec.traced:
        return
    x, state, weights = problem.tensors(requires_grad=True)

    def call(x, *rest):
        made_weights = weights.like(rest[len(state) :])
        return recurrence_with_states(problem.spec, x, rest[: len(state)], made_weights, problem.tensor_walk())[2]["c"]

    assert torch.autograd.gradcheck(call, (x, *state, *weights.present()), fast_mode=True)


def test_gradients_of_the_twin_equal_finite_differences(variant, make_problem, walk_options):
    """Differences of fourth order along one random direction of all arguments together, h = 1e-5: error O(h⁴) = 1e-20
    of a fifth derivative, which layer normalisation of a few values makes large, and 1e-11 of rounding."""
    problem = make_problem(4, 3, 2, 3, walk_options=walk_options)
    random = np.random.default_rng(0)
    output, final, saved = reference.forward(problem.spec, problem.x, problem.state, problem.weights, problem.walk)
    of_output = random.standard_normal(output.shape)
    of_final = tuple(random.standard_normal(value.shape) for value in final)
    of_cells = None if saved.cells is None else random.standard_normal(saved.cells.shape)
    grad_x, grad_state, grad_weights = reference.backward(problem.spec, of_output, of_final, saved, of_cells)

    arguments = [problem.x, *problem.state, *problem.weights.present()]
    directions = [random.standard_normal(value.shape) for value in arguments]

    def loss(step):
        x, *moved = (value + step * way for value, way in zip(arguments, directions, strict=True))
        count = len(problem.state)
        output, final, saved = reference.forward(
            problem.spec, x, tuple(moved[:count]), problem.weights.like(moved[count:]), problem.walk
        )
        summed = sum(float((w * v).sum()) for w, v in zip((of_output, *of_final), (output, *final), strict=True))
        return summed if of_cells is None else summed + float((of_cells * saved.cells).sum())

    slope = (8 * (loss(1e-5) - loss(-1e-5)) - (loss(2e-5) - loss(-2e-5))) / 12e-5
    gradients = [grad_x, *grad_state, *grad_weights.present()]
    slope_by_gradient = sum(float((gradient * way).sum()) for gradient, way in zip(gradients, directions, strict=True))
    assert slope_by_gradient == pytest.approx(slope, rel=1e-7, abs=1e-8)
