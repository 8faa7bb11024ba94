"""Laws of a sequence: how it is cut, batched, padded, packed or turned round does not change what is computed.

float64; results agree to rounding, 1e-12, because the same sums may be taken in another order.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seriatim.nn.cell_laws import LAWS

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def close(one, other):
    torch.testing.assert_close(one, other, **CLOSE)


def random_state(layer, rows, seed=7):
    """A first state that is not zero, in the layer's own form."""
    generator = torch.Generator().manual_seed(seed)
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    widths = layer.state_sizes.values()
    state = tuple(torch.randn(count, rows, width, generator=generator, dtype=torch.float64) for width in widths)
    return state if len(state) > 1 else state[0]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_laws_of_check_cell_hold_for_every_layer(layered, law, num_layers):
    """Where a law's tolerance is 0, results are bit-equal."""
    difference = LAWS[law].measure(lambda: layered.layer(3, 5, num_layers=num_layers))
    assert difference <= LAWS[law].tolerance


def test_rows_do_not_touch_each_other(layered, stack):
    layer = layered.layer(3, 5, **stack)
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    before, final = layer(x, lengths=[7, 2, 5, 5])
    x[:, 1] += 100.0
    after, disturbed = layer(x, lengths=[7, 2, 5, 5])
    kept = [0, 2, 3]
    assert torch.equal(before[:, kept], after[:, kept])
    assert not torch.equal(before[:, 1], after[:, 1])
    for one, other in zip(as_tuple(final), as_tuple(disturbed), strict=True):
        assert torch.equal(one[:, kept], other[:, kept])


def test_padding_is_never_read(layered, stack):
    """Not a number beyond the end reaches no output, no state and no gradient."""
    layer = layered.layer(3, 5, **stack)
    lengths = torch.tensor([2, 7, 4])
    clean = torch.randn(9, 3, 3, dtype=torch.float64)
    beyond = (torch.arange(9)[:, None] >= lengths)[:, :, None]
    gradients, outputs, finals = [], [], []
    for filling in (0.0, torch.nan):
        x = clean.masked_fill(beyond, filling).requires_grad_()
        output, final = layer(x, lengths=lengths)
        everything = [output.sum(), *(one.sum() for one in as_tuple(final))]
        gradients.append(torch.autograd.grad(sum(everything), [x, *layer.parameters()]))
        outputs.append(output)
        finals.append(as_tuple(final))
    assert torch.equal(*outputs)
    for one, other in zip([*finals[0], *gradients[0]], [*finals[1], *gradients[1]], strict=True):
        assert torch.equal(one, other)
    assert not outputs[0].masked_select(beyond).any()
    assert not gradients[0][0].masked_select(beyond).any()


@settings(max_examples=12, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), more=st.integers(0, 2))
def test_lengths_are_each_row_alone(layered, stack, lengths, more):
    layer = layered.layer(3, 5, **stack)
    generator = torch.Generator().manual_seed(sum(lengths))
    x = torch.randn(max(lengths) + more, len(lengths), 3, generator=generator, dtype=torch.float64)
    first = random_state(layer, len(lengths))
    output, final = layer(x, first, lengths=lengths)
    for row, length in enumerate(lengths):
        own = tuple(one[:, row : row + 1] for one in as_tuple(first))
        alone, ended = layer(x[:length, row : row + 1], own if len(own) > 1 else own[0])
        close(output[:length, row], alone[:, 0])
        assert not output[length:, row].any()
        for one, other in zip(as_tuple(final), as_tuple(ended), strict=True):
            close(one[:, row], other[:, 0])


def test_gradients_through_lengths_are_those_of_each_row_alone(layered, stack):
    layer = layered.layer(3, 5, **stack)
    lengths = [3, 1, 8, 3]
    x = torch.randn(8, 4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, 4, layer(x)[0].shape[-1], dtype=torch.float64)

    output, final = layer(x, lengths=lengths)
    together = (output * weight).sum() + sum((one**2).sum() for one in as_tuple(final))
    alone = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(lengths):
        output, final = layer(x[:length, row])
        alone = alone + (output * weight[:length, row]).sum() + sum((one**2).sum() for one in as_tuple(final))
    wanted = [x, *layer.parameters()]
    for one, other in zip(torch.autograd.grad(together, wanted), torch.autograd.grad(alone, wanted), strict=True):
        close(one, other)


def test_packing_is_another_way_to_give_lengths(layered, stack):
    layer = layered.layer(3, 5, **stack)
    lengths = torch.tensor([2, 7, 4, 7])
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    first = random_state(layer, 4)
    output, final = layer(x, first, lengths=lengths)
    packed, from_packed = layer(pack_padded_sequence(x, lengths, enforce_sorted=False), first)
    padded, found = pad_packed_sequence(packed)
    assert torch.equal(found, lengths)
    close(padded, output)
    close(as_tuple(from_packed), as_tuple(final))


def test_the_backward_direction_is_a_forward_run_of_reversed_rows(layered):
    layer = layered.layer(3, 5, bidirectional=True)
    forward = layered.layer(3, 5)
    forward.load_state_dict({
        name: layer.state_dict()[name.replace("_l0", "_l0_reverse")] for name in forward.state_dict()
    })  # fmt: skip
    lengths = [5, 7, 2]
    x = torch.randn(7, 3, 3, dtype=torch.float64)
    backward = layer(x, lengths=lengths)[0].chunk(2, dim=-1)[1]
    for row, length in enumerate(lengths):
        close(backward[:length, row], forward(x[:length, row].flip(0))[0].flip(0))


def test_no_rows_give_no_rows(layered, stack):
    layer = layered.layer(3, 5, **stack)
    output, final = layer(torch.zeros(4, 0, 3, dtype=torch.float64), lengths=[])
    assert output.shape[:2] == (4, 0)
    assert all(one.shape[1] == 0 for one in as_tuple(final))


def test_a_reset_begins_a_row_anew(layered, stack):
    """What stands before a mark changes nothing after it, and the other way round for a direction from the end."""
    layer = layered.layer(3, 5, **stack)
    x = torch.randn(9, 3, 3, dtype=torch.float64)
    starts, lengths = torch.zeros(9, 3, dtype=torch.bool), [9, 6, 7]
    starts[4, 0] = starts[2, 1] = starts[0, 2] = starts[8, 2] = True  # the last stands beyond its row's end
    output, final = layer(x, random_state(layer, 3), lengths=lengths, reset=starts)
    for row, cut in ((0, 4), (1, 2)):
        later, after = layer(x[cut : lengths[row], row])
        if not layer.bidirectional:
            close(output[cut : lengths[row], row], later)
            for one, other in zip(as_tuple(final), as_tuple(after), strict=True):
                close(one[:, row], other)
        elif layer.num_layers == 1:
            half = output.shape[-1] // 2
            close(output[cut : lengths[row], row, :half], later[:, :half])
            close(output[:cut, row, half:], layer(x[:cut, row])[0][:, half:])


def test_reading_from_the_end_is_reading_rows_turned_round(layered):
    layer = layered.layer(3, 5, num_layers=2)
    lengths = [5, 7, 2]
    x = torch.randn(7, 3, 3, dtype=torch.float64)
    output, final = layer(x, lengths=lengths, reverse=True)
    for row, length in enumerate(lengths):
        turned, ended = layer(x[:length, row].flip(0))
        close(output[:length, row].flip(0), turned)
        for one, other in zip(as_tuple(final), as_tuple(ended), strict=True):
            close(one[:, row], other)


def test_every_state_is_told(layered, stack):
    layer = layered.layer(3, 5, **stack)
    x = torch.randn(6, 3, 3, dtype=torch.float64)
    lengths = [6, 2, 4]
    output, final, every = layer(x, lengths=lengths, return_states="all")
    plain, ended = layer(x, lengths=lengths)
    close(output, plain)
    close(as_tuple(final), as_tuple(ended))
    forward = 2 if layer.bidirectional else 1
    for name, last in zip(layer.state_sizes, as_tuple(final), strict=True):
        for row, length in enumerate(lengths):
            close(every[name][::forward, length - 1, row], last[::forward, row])
            assert not every[name][:, length:, row].any()


def test_gradients_of_a_layer_are_finite_differences(layered):
    layer = layered.layer(2, 3, num_layers=2, bidirectional=True)
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    first = tuple(one.requires_grad_() for one in as_tuple(random_state(layer, 2)))
    names, weights = zip(*layer.named_parameters(), strict=True)

    def call(x, *rest):
        state = rest[: len(first)]
        own = dict(zip(names, rest[len(first) :], strict=True))
        output, final = torch.func.functional_call(
            layer, own, (x, state if len(state) > 1 else state[0]), {"lengths": [4, 2]}
        )
        return (output, *as_tuple(final))

    assert torch.autograd.gradcheck(call, (x, *first, *weights), fast_mode=True)
