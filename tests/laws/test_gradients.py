"""Gradients are the slopes that finite differences find, of the operators and of the twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seriatim.kernels import reference
from seriatim.ops.recurrence import IMPLEMENTATIONS, recurrence, recurrence_with_states, using


def function(made):
    """The recurrence as a function of tensors alone, for ``gradcheck``, and its arguments."""
    x, state, weights = made.tensors(requires_grad=True)

    def call(x, *rest):
        output, final = recurrence(
            made.spec, x, rest[: len(state)], weights.like(rest[len(state) :]), made.tensor_walk()
        )
        return (output, *final)

    return call, (x, *state, *weights.present())


def test_gradients_are_finite_differences(variant, problem, asks_few):
    """By every implementation that runs the cell along the walk."""
    made = problem(4, 3, 2, 3, asks=asks_few)
    call, arguments = function(made)
    for implementation in IMPLEMENTATIONS:
        if implementation.fits(made.spec, arguments[0], made.tensor_walk()):
            with using(implementation.name):
                assert torch.autograd.gradcheck(call, arguments, fast_mode=True), implementation


@pytest.mark.parametrize("asks", [("lengths",), ("lengths", "reverse", "reset", "dropout", "mean")], ids=len)
def test_second_derivatives(variant, problem, asks):
    call, arguments = function(problem(3, 3, 2, 3, asks=asks))
    with using("composed"):
        assert torch.autograd.gradgradcheck(call, arguments, fast_mode=True)


def test_the_gradient_of_every_c_and_its_slope(variant, problem, asks_few):
    """What ``recurrence_with_states`` gives of c is a part of the graph."""
    made = problem(3, 3, 2, 3, asks=asks_few)
    if "c" not in made.spec.traced:
        return
    x, state, weights = made.tensors(requires_grad=True)

    def call(x, *rest):
        made_weights = weights.like(rest[len(state) :])
        return recurrence_with_states(made.spec, x, rest[: len(state)], made_weights, made.tensor_walk())[2]["c"]

    assert torch.autograd.gradcheck(call, (x, *state, *weights.present()), fast_mode=True)


def test_the_twins_gradients_are_finite_differences(variant, problem, asks):
    """Differences of fourth order along one random direction of all arguments together, h = 1e-5: error O(h⁴) = 1e-20
    of a fifth derivative, which layer normalisation of a few values makes large, and 1e-11 of rounding."""
    made = problem(4, 3, 2, 3, asks=asks)
    random = np.random.default_rng(0)
    output, final, saved = reference.forward(made.spec, made.x, made.state, made.weights, made.walk)
    of_output = random.standard_normal(output.shape)
    of_final = tuple(random.standard_normal(one.shape) for one in final)
    of_cells = None if saved.cells is None else random.standard_normal(saved.cells.shape)
    grad_x, grad_state, grad_weights = reference.backward(made.spec, of_output, of_final, saved, of_cells)

    arguments = [made.x, *made.state, *made.weights.present()]
    directions = [random.standard_normal(one.shape) for one in arguments]

    def loss(step):
        x, *moved = (one + step * way for one, way in zip(arguments, directions, strict=True))
        count = len(made.state)
        output, final, saved = reference.forward(
            made.spec, x, tuple(moved[:count]), made.weights.like(moved[count:]), made.walk
        )
        summed = sum(float((w * v).sum()) for w, v in zip((of_output, *of_final), (output, *final), strict=True))
        return summed if of_cells is None else summed + float((of_cells * saved.cells).sum())

    slope = (8 * (loss(1e-5) - loss(-1e-5)) - (loss(2e-5) - loss(-2e-5))) / 12e-5
    gradients = [grad_x, *grad_state, *grad_weights.present()]
    found = sum(float((gradient * way).sum()) for gradient, way in zip(gradients, directions, strict=True))
    assert found == pytest.approx(slope, rel=1e-7, abs=1e-8)
