"""Laws of how a layer walks: boundaries inside a row, zoneout and recurrent dropout at their ends, and what happened.

float64; results agree to rounding, 1e-12, because the same sums may be taken in another order.
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


def close(one, other):
    torch.testing.assert_close(one, other, **CLOSE)


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def in_form(state):
    return state if len(state) > 1 else state[0]


def all_close(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, **CLOSE)


def random_state(layer, rows):
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    return tuple(
        torch.randn(count, rows, layer.spec.state_size(name), dtype=torch.float64) for name in layer.spec.states
    )


def test_a_reset_splits_a_sequence_in_two(variant, stack):
    """In both directions, and each part as if it were alone."""
    layer = variant.layer(3, 5, **stack)
    x = torch.randn(9, 2, 3, dtype=torch.float64)
    reset = torch.zeros(9, 2, dtype=torch.bool)
    reset[4, 0] = reset[7, 1] = True
    output, _ = layer(x, reset=reset)
    for row, cut in ((0, 4), (1, 7)):
        close(output[:cut, row], layer(x[:cut, row])[0])
        close(output[cut:, row], layer(x[cut:, row])[0])


@pytest.mark.parametrize("reverse", [False, True])
def test_a_reset_parts_the_gradients(variant, reverse):
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


def test_a_reset_at_the_first_step_is_a_zero_state(variant):
    layer = variant.layer(3, 5)
    x, first = torch.randn(4, 3, 3, dtype=torch.float64), random_state(layer, 3)
    reset = torch.zeros(4, 3, dtype=torch.bool)
    reset[0, 1] = True
    for one in first:
        one.requires_grad_()
    output, final = layer(x, in_form(first), reset=reset)
    cleared = tuple(one.detach().clone() for one in first)
    for one in cleared:
        one[:, 1] = 0
    wanted, ended = layer(x, in_form(cleared))
    close(output, wanted)
    close(as_tuple(final), as_tuple(ended))
    for grad in torch.autograd.grad(output.sum(), first, materialize_grads=True):
        assert not grad[:, 1].any()


def test_a_reset_beyond_the_end_means_nothing(variant, stack):
    layer = variant.layer(3, 5, **stack)
    x, first = torch.randn(6, 3, 3, dtype=torch.float64), random_state(layer, 3)
    lengths = torch.tensor([2, 6, 4])
    beyond = torch.arange(6)[:, None] >= lengths
    for reverse in (False, True):
        wanted, ended = layer(x, in_form(first), lengths=lengths, reverse=reverse)
        output, final = layer(x, in_form(first), lengths=lengths, reset=beyond, reverse=reverse)
        close(output, wanted)
        close(as_tuple(final), as_tuple(ended))


def test_reading_from_the_end_is_reading_reversed_rows(variant):
    layer = variant.layer(3, 5, num_layers=2)
    lengths = [5, 7, 2]
    x, first = torch.randn(7, 3, 3, dtype=torch.float64), random_state(layer, 3)
    output, final = layer(x, in_form(first), lengths=lengths, reverse=True)
    for row, length in enumerate(lengths):
        own = in_form(tuple(one[:, row] for one in first))
        wanted, ended = layer(x[:length, row].flip(0), own)
        close(output[:length, row], wanted.flip(0))
        close(tuple(one[:, row] for one in as_tuple(final)), as_tuple(ended))


def test_reversed_and_bidirectional_change_places(variant):
    """A bidirectional layer read from the end is the layer with its directions exchanged."""
    layer, other = variant.layer(3, 5, bidirectional=True), variant.layer(3, 5, bidirectional=True)
    swapped = {}
    for name, value in layer.state_dict().items():
        swapped[name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"] = value
    other.load_state_dict(swapped)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    ahead, back = layer(x, reverse=True)[0].chunk(2, dim=-1)
    close(torch.cat([back, ahead], dim=-1), other(x)[0])


def walked(made, walk):
    """Output and final states, by the twin and by the operators."""
    output, final, _ = reference.forward(made.spec, made.x, made.state, made.weights, walk)
    x, state, weights = made.tensors()
    masks = dataclasses.replace(made, walk=walk).tensor_walk()
    found, ended = recurrence(made.spec, x, state, weights, masks)
    return [(output, *final), tuple(one.numpy() for one in (found, *ended))]


@pytest.mark.parametrize("lengths", [None, np.array([4, 1, 6])], ids=["all", "ragged"])
@pytest.mark.parametrize("shape", [(6, 3), (1, 1), (6, 1), (1, 3)], ids=str)
def test_zoneout_of_nothing_is_plain_and_of_all_is_frozen(variant, problem, lengths, shape):
    made = problem(6, 3, 2, 4)
    sizes = [made.spec.state_size(name) for name in made.spec.states]
    plain = walked(made, Walk(lengths))
    nothing = walked(made, Walk(lengths, zoneout=tuple(np.zeros((*shape, size)) for size in sizes)))
    for one, other in zip(plain, nothing, strict=True):
        all_close(one, other)
    ends = np.full(3, 6) if lengths is None else lengths
    alive = (np.arange(6)[:, None] < ends)[:, :, None]
    for output, *final in walked(made, Walk(lengths, zoneout=tuple(np.ones((*shape, size)) for size in sizes))):
        all_close([output, *final], [np.where(alive, made.state[0], 0), *made.state])


def test_zoneout_of_c_alone(variant, problem):
    """h is made of the candidate c, so it moves while c stands."""
    made = problem(3, 2, 2, 4)
    if made.spec.states != ("h", "c"):
        return
    for output, h, c in walked(made, Walk(zoneout=(None, np.ones((1, 1, 4))))):
        all_close([c, output[-1], output[0]], [made.state[1], h, walked(made, Walk())[0][0][0]])
        assert not np.allclose(h, made.state[0])


def test_dropout_of_ones_is_plain_and_of_zeros_forgets_h(variant, problem):
    made = problem(5, 3, 2, 4)
    width = made.spec.output_size
    for one, other in zip(walked(made, Walk()), walked(made, Walk(dropout=np.ones((3, width)))), strict=True):
        all_close(one, other)
    deaf = made  # a diagonal cell is deaf to h already
    if made.weights.w_hh is not None:
        deaf = dataclasses.replace(made, weights=dataclasses.replace(made.weights, w_hh=made.weights.w_hh * 0))
    for one, other in zip(walked(deaf, Walk()), walked(made, Walk(dropout=np.zeros((3, width)))), strict=True):
        all_close(one, other)


def test_every_state_is_told(variant, stack):
    """``return_states`` agrees with the output, with the final states and with the layer without it."""
    layer = variant.layer(3, 5, **stack)
    x, lengths = torch.randn(6, 3, 3, dtype=torch.float64), [6, 2, 4]
    wanted, ended = layer(x, lengths=lengths)
    output, final, every = layer(x, lengths=lengths, return_states="all")
    close(output, wanted)
    close(as_tuple(final), as_tuple(ended))
    assert set(every) == {*layer.spec.states, *layer.spec.gates}
    directions = 2 if layer.bidirectional else 1
    close(torch.cat([*every["h"][-directions:]], dim=-1), output)
    for name, last in zip(layer.spec.states, as_tuple(final), strict=True):
        for index in range(len(last)):
            read_back = directions == 2 and index % 2
            for row, length in enumerate(lengths):
                close(every[name][index, 0 if read_back else length - 1, row], last[index, row])
    for one in every.values():
        assert one.shape == (layer.num_layers * directions, 6, 3, one.shape[-1])
        assert not one[:, 4:, 1:].any()
    for name in layer.spec.gates:
        assert name in layer.spec.states or not every[name].requires_grad


def test_gates_make_the_states_that_are_told(variant):
    """c = f ⊙ c + i ⊙ g of an LSTM, h = z ⊙ h + (1 - z) ⊙ n of a GRU, step by step."""
    layer = variant.layer(3, 5)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    _, _, every = layer(x, return_states="all")
    before = {name: torch.cat([torch.zeros_like(one[0, :1]), one[0, :-1]]) for name, one in every.items()}
    if variant.kind == "lstm":
        close(every["f"][0] * before["c"] + every["i"][0] * every["g"][0], every["c"][0])
    if variant.kind == "gru":
        kept = layer.spec.states[-1]  # c where h is projected
        close(every["z"][0] * before[kept] + (1 - every["z"][0]) * every["n"][0], every[kept][0])


def test_a_gradient_through_every_c_reaches_the_weights(variant):
    layer = variant.layer(3, 5, num_layers=2)
    if "c" not in layer.spec.states:
        return
    _, _, every = layer(torch.randn(4, 2, 3, dtype=torch.float64), return_states="all")
    (grad,) = torch.autograd.grad(every["c"][0, 2].sum(), layer.weight_ih_l0)
    assert grad.any()


def test_no_rows_give_no_rows_along_any_walk(variant, stack):
    spec = variant.spec(3, 5)
    masks = {"recurrent_dropout": 0.0 if spec.is_diagonal else 0.5, "zoneout": 0.0 if len(spec.states) > 2 else 0.5}
    layer = variant.layer(3, 5, **masks, **stack)
    x, reset = torch.zeros(4, 0, 3, dtype=torch.float64), torch.zeros(4, 0, dtype=torch.bool)
    for reverse in (False, True):
        output, final, every = layer(x, lengths=[], reset=reset, reverse=reverse, return_states="all")
        assert output.shape[:2] == (4, 0)
        assert all(one.shape[1] == 0 for one in as_tuple(final))
        assert all(one.shape[1:3] == (4, 0) for one in every.values())
