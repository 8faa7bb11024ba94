"""Gradients are the slopes that finite differences find, of the operators and of the twin."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seriatim.kernels import reference
from seriatim.ops.recurrence import IMPLEMENTATIONS, Weights, recurrence, using

LENGTHS = {"all": None, "ragged": [4, 1, 3]}


def function(spec, problem, lengths, reverse):
    """The recurrence as a function of tensors alone, for ``gradcheck``, and its arguments."""
    x, state, weights = problem.tensors(requires_grad=True)
    lengths = None if lengths is None else torch.tensor(lengths)
    names = [field.name for field in dataclasses.fields(weights) if getattr(weights, field.name) is not None]

    def call(x, *rest):
        given = dict(zip(names, rest[len(state) :], strict=True))
        output, final = recurrence(spec, x, rest[: len(state)], Weights(**given), lengths, reverse)
        return (output, *final)

    return call, (x, *state, *weights.present())


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_finite_differences(variant, problem, lengths, reverse):
    """By every implementation that runs the cell."""
    made = problem(4, 3, 2, 3)
    call, arguments = function(made.spec, made, lengths, reverse)
    for implementation in (one.name for one in IMPLEMENTATIONS if one.fits(made.spec)):
        with using(implementation):
            assert torch.autograd.gradcheck(call, arguments, fast_mode=True), implementation


@pytest.mark.parametrize("reverse", [False, True])
def test_second_derivatives(variant, problem, reverse):
    made = problem(3, 3, 2, 3)
    call, arguments = function(made.spec, made, [3, 1, 2], reverse)
    with using("composed"):
        assert torch.autograd.gradgradcheck(call, arguments, fast_mode=True)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_twins_gradients_are_finite_differences(variant, problem, lengths, reverse):
    """Central differences along one random direction of all arguments together, h = 1e-5: error O(h²) = 1e-10."""
    made = problem(4, 3, 2, 3)
    random = np.random.default_rng(0)
    lengths = None if lengths is None else np.array(lengths)
    output, final, saved = reference.forward(made.spec, made.x, made.state, made.weights, lengths, reverse)
    of_output = random.standard_normal(output.shape)
    of_final = tuple(random.standard_normal(one.shape) for one in final)
    grad_x, grad_state, grad_weights = reference.backward(made.spec, of_output, of_final, saved)

    arguments = [made.x, *made.state, *made.weights.present()]
    directions = [random.standard_normal(one.shape) for one in arguments]

    def loss(step):
        moved = [one + step * way for one, way in zip(arguments, directions, strict=True)]
        count = len(made.state)
        weights = iter(moved[1 + count :])
        placed = [
            None if getattr(made.weights, field.name) is None else next(weights)
            for field in dataclasses.fields(made.weights)
        ]
        # fields stand in the order of present()
        output, final, _ = reference.forward(
            made.spec, moved[0], tuple(moved[1 : 1 + count]), Weights(*placed), lengths, reverse
        )
        pairs = zip((of_output, *of_final), (output, *final), strict=True)
        return sum(float((weight * value).sum()) for weight, value in pairs)

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    gradients = [grad_x, *grad_state, *grad_weights.present()]
    found = sum(float((gradient * way).sum()) for gradient, way in zip(gradients, directions, strict=True))
    assert found == pytest.approx(slope, rel=1e-7, abs=1e-8)
