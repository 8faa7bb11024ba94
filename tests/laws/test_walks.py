"""Laws of walks: resets, reverse, zoneout and recurrent dropout with extreme masks, and returned states.

All in float64. Results agree to 1e-12, because the same sums may be taken in another order.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seriatim.kernels import reference
from seriatim.kernels.walk import Walk
from seriatim.ops.recurrence import recurrence

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def close(value, target):
    torch.testing.assert_close(value, target, **CLOSE)


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def as_argument(state):
    return state if len(state) > 1 else state[0]


def all_close(result, expected):
    for value, target in zip(result, expected, strict=True):
        np.testing.assert_allclose(value, target, **CLOSE)


def random_state(layer, rows):
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    return tuple(
        torch.randn(count, rows, layer.spec.state_size(name), dtype=torch.float64) for name in layer.spec.states
    )


def test_reset_splits_a_sequence_in_two(variant, stack):
    """In all directions each part gives the same output as the part alone."""
    layer = variant.layer(3, 5, **stack)
    x = torch.randn(9, 2, 3, dtype=torch.float64)
    reset = torch.zeros(9, 2, dtype=torch.bool)
    reset[4, 0] = reset[7, 1] = True
    output, _ = layer(x, reset=reset)
    for row, cut in ((0, 4), (1, 7)):
        close(output[:cut, row], layer(x[:cut, row])[0])
        close(output[cut:, row], layer(x[cut:, row])[0])


@pytest.mark.parametrize("reverse", [False, True])
def test_reset_blocks_gradients(variant, reverse):
    layer = variant.layer(3, 5)
    x = torch.randn(6, 1, 3, dtype=torch.float64, requires_grad=True)
    reset = torch.tensor([False, False, True, False, False, False])[:, None]
    output, _ = layer(x, reset=reset, reverse=reverse)
    (from_the_end,) = torch.autograd.grad(output[2:].sum(), x, retain_graph=True)
    (from_the_start,) = torch.autograd.grad(output[:2].sum(), x)
    assert not from_the_end[:2].any()
    assert not from_the_start[2:].any()
    assert from_the_end[2:].any()
    assert from_the_start[:2].any()


def test_reset_at_first_step_equals_zero_state(variant):
    layer = variant.layer(3, 5)
    x, first = torch.randn(4, 3, 3, dtype=torch.float64), random_state(layer, 3)
    reset = torch.zeros(4, 3, dtype=torch.bool)
    reset[0, 1] = True
    for value in first:
        value.requires_grad_()
    output, final = layer(x, as_argument(first), reset=reset)
    cleared = tuple(value.detach().clone() for value in first)
    for value in cleared:
        value[:, 1] = 0
    expected, expected_final = layer(x, as_argument(cleared))
    close(output, expected)
    close(as_tuple(final), as_tuple(expected_final))
    for grad in torch.autograd.grad(output.sum(), first, materialize_grads=True):
        assert not grad[:, 1].any()


def test_reset_beyond_the_end_has_no_effect(variant, stack):
    layer = variant.layer(3, 5, **stack)
    x, first = torch.randn(6, 3, 3, dtype=torch.float64), random_state(layer, 3)
    lengths = torch.tensor([2, 6, 4])
    beyond = torch.arange(6)[:, None] >= lengths
    for reverse in (False, True):
        expected, expected_final = layer(x, as_argument(first), lengths=lengths, reverse=reverse)
        output, final = layer(x, as_argument(first), lengths=lengths, reset=beyond, reverse=reverse)
        close(output, expected)
        close(as_tuple(final), as_tuple(expected_final))


def test_reverse_equals_run_of_reversed_rows(variant):
    layer = variant.layer(3, 5, num_layers=2)
    lengths = [5, 7, 2]
    x, first = torch.randn(7, 3, 3, dtype=torch.float64), random_state(layer, 3)
    output, final = layer(x, as_argument(first), lengths=lengths, reverse=True)
    for row, length in enumerate(lengths):
        row_state = as_argument(tuple(value[:, row] for value in first))
        expected, expected_final = layer(x[:length, row].flip(0), row_state)
        close(output[:length, row], expected.flip(0))
        close(tuple(value[:, row] for value in as_tuple(final)), as_tuple(expected_final))


def test_reverse_swaps_the_directions_of_a_bidirectional_layer(variant):
    """A bidirectional layer with ``reverse`` equals the layer with its directions swapped."""
    layer, swapped_layer = variant.layer(3, 5, bidirectional=True), variant.layer(3, 5, bidirectional=True)
    swapped = {}
    for name, value in layer.state_dict().items():
        swapped[name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"] = value
    swapped_layer.load_state_dict(swapped)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    ahead, back = layer(x, reverse=True)[0].chunk(2, dim=-1)
    close(torch.cat([back, ahead], dim=-1), swapped_layer(x)[0])


def run_both(problem, walk):
    """Output and final states, by the twin and by the operators."""
    output, final, _ = reference.forward(problem.spec, problem.x, problem.state, problem.weights, walk)
    x, state, weights = problem.tensors()
    masks = dataclasses.replace(problem, walk=walk).tensor_walk()
    result, expected_final = recurrence(problem.spec, x, state, weights, masks)
    return [(output, *final), tuple(value.numpy() for value in (result, *expected_final))]


@pytest.mark.parametrize("lengths", [None, np.array([4, 1, 6])], ids=["all", "ragged"])
@pytest.mark.parametrize("shape", [(6, 3), (1, 1), (6, 1), (1, 3)], ids=str)
def test_zoneout_of_no_units_changes_nothing_and_of_all_freezes_the_state(variant, make_problem, lengths, shape):
    problem = make_problem(6, 3, 2, 4)
    sizes = [problem.spec.state_size(name) for name in problem.spec.states]
    plain = run_both(problem, Walk(lengths))
    nothing = run_both(problem, Walk(lengths, zoneout=tuple(np.zeros((*shape, size)) for size in sizes)))
    for value, target in zip(plain, nothing, strict=True):
        all_close(value, target)
    ends = np.full(3, 6) if lengths is None else lengths
    alive = (np.arange(6)[:, None] < ends)[:, :, None]
    for output, *final in run_both(problem, Walk(lengths, zoneout=tuple(np.ones((*shape, size)) for size in sizes))):
        all_close([output, *final], [np.where(alive, problem.state[0], 0), *problem.state])


def test_zoneout_of_c_alone(variant, make_problem):
    """h is computed from the candidate c, so it changes while c does not."""
    problem = make_problem(3, 2, 2, 4)
    if problem.spec.states != ("h", "c"):
        return
    for output, h, c in run_both(problem, Walk(zoneout=(None, np.ones((1, 1, 4))))):
        all_close([c, output[-1], output[0]], [problem.state[1], h, run_both(problem, Walk())[0][0][0]])
        assert not np.allclose(h, problem.state[0])


def test_dropout_mask_of_ones_changes_nothing_and_of_zeros_removes_h(variant, make_problem):
    problem = make_problem(5, 3, 2, 4)
    width = problem.spec.output_size
    for value, target in zip(
        run_both(problem, Walk()), run_both(problem, Walk(dropout=np.ones((3, width)))), strict=True
    ):
        all_close(value, target)
    without_h = problem  # a diagonal cell does not read h anyway
    if problem.weights.w_hh is not None:
        without_h = dataclasses.replace(
            problem, weights=dataclasses.replace(problem.weights, w_hh=problem.weights.w_hh * 0)
        )
    for value, target in zip(
        run_both(without_h, Walk()), run_both(problem, Walk(dropout=np.zeros((3, width)))), strict=True
    ):
        all_close(value, target)


def test_returned_states_agree_with_output_and_final_state(variant, stack):
    """``return_states`` agrees with the output, with the final states and with the layer without it."""
    layer = variant.layer(3, 5, **stack)
    x, lengths = torch.randn(6, 3, 3, dtype=torch.float64), [6, 2, 4]
    expected, expected_final = layer(x, lengths=lengths)
    output, final, states = layer(x, lengths=lengths, return_states="all")
    close(output, expected)
    close(as_tuple(final), as_tuple(expected_final))
    assert set(states) == {*layer.spec.states, *layer.spec.gates}
    directions = 2 if layer.bidirectional else 1
    close(torch.cat([*states["h"][-directions:]], dim=-1), output)
    for name, last in zip(layer.spec.states, as_tuple(final), strict=True):
        for index in range(len(last)):
            read_back = directions == 2 and index % 2
            for row, length in enumerate(lengths):
                close(states[name][index, 0 if read_back else length - 1, row], last[index, row])
    for value in states.values():
        assert value.shape == (layer.num_layers * directions, 6, 3, value.shape[-1])
        assert not value[:, 4:, 1:].any()
    for name in layer.spec.gates:
        assert name in layer.spec.states or not states[name].requires_grad


def test_returned_gates_give_the_returned_states(variant):
    """c = f ⊙ c + i ⊙ g for an LSTM and h = z ⊙ h + (1 - z) ⊙ n for a GRU, step by step."""
    layer = variant.layer(3, 5)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    _, _, states = layer(x, return_states="all")
    previous = {name: torch.cat([torch.zeros_like(value[0, :1]), value[0, :-1]]) for name, value in states.items()}
    if variant.kind == "lstm":
        close(states["f"][0] * previous["c"] + states["i"][0] * states["g"][0], states["c"][0])
    if variant.kind == "gru":
        retained = layer.spec.states[-1]  # c where h is projected
        close(states["z"][0] * previous[retained] + (1 - states["z"][0]) * states["n"][0], states[retained][0])


def test_gradient_through_returned_c_reaches_the_weights(variant):
    layer = variant.layer(3, 5, num_layers=2)
    if "c" not in layer.spec.states:
        return
    _, _, states = layer(torch.randn(4, 2, 3, dtype=torch.float64), return_states="all")
    (grad,) = torch.autograd.grad(states["c"][0, 2].sum(), layer.weight_ih_l0)
    assert grad.any()


def test_empty_batch_gives_empty_output_on_all_walks(variant, stack):
    spec = variant.spec(3, 5)
    masks = {"recurrent_dropout": 0.0 if spec.is_diagonal else 0.5, "zoneout": 0.0 if len(spec.states) > 2 else 0.5}
    layer = variant.layer(3, 5, **masks, **stack)
    x, reset = torch.zeros(4, 0, 3, dtype=torch.float64), torch.zeros(4, 0, dtype=torch.bool)
    for reverse in (False, True):
        output, final, states = layer(x, lengths=[], reset=reset, reverse=reverse, return_states="all")
        assert output.shape[:2] == (4, 0)
        assert all(value.shape[1] == 0 for value in as_tuple(final))
        assert all(value.shape[1:3] == (4, 0) for value in states.values())
