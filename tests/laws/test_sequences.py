"""Laws of sequences: cutting, batching, padding, packing or reversing them does not change the results.

All in float64. Results agree to 1e-12, because the same sums may be taken in another order.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seriatim.nn import Blocks
from seriatim.nn.cell_laws import LAWS

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def close(value, reference):
    torch.testing.assert_close(value, reference, **CLOSE)


def random_state(layer, rows, seed=7):
    """A random first state, in the form that the layer takes."""
    generator = torch.Generator().manual_seed(seed)
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    widths = layer.state_sizes.values()
    state = tuple(torch.randn(count, rows, width, generator=generator, dtype=torch.float64) for width in widths)
    return state if len(state) > 1 else state[0]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_laws_of_check_cell_hold_for_every_layer(factory, law, num_layers):
    """Where a law's tolerance is 0, results are bit-equal."""
    difference = LAWS[law].measure(lambda: factory.layer(3, 5, num_layers=num_layers))
    assert difference <= LAWS[law].tolerance


def test_rows_do_not_affect_each_other(factory, stack):
    layer = factory.layer(3, 5, **stack)
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    original, final = layer(x, lengths=[7, 2, 5, 5])
    x[:, 1] += 100.0
    changed, changed_final = layer(x, lengths=[7, 2, 5, 5])
    others = [0, 2, 3]
    assert torch.equal(original[:, others], changed[:, others])
    assert not torch.equal(original[:, 1], changed[:, 1])
    for value, reference in zip(as_tuple(final), as_tuple(changed_final), strict=True):
        assert torch.equal(value[:, others], reference[:, others])


def test_padding_is_not_read(factory, stack):
    """NaN beyond the end of a row reaches no output, no state and no gradient."""
    layer = factory.layer(3, 5, **stack)
    lengths = torch.tensor([2, 7, 4])
    clean = torch.randn(9, 3, 3, dtype=torch.float64)
    beyond = (torch.arange(9)[:, None] >= lengths)[:, :, None]
    gradients, outputs, finals = [], [], []
    for filling in (0.0, torch.nan):
        x = clean.masked_fill(beyond, filling).requires_grad_()
        output, final = layer(x, lengths=lengths)
        everything = [output.sum(), *(value.sum() for value in as_tuple(final))]
        gradients.append(torch.autograd.grad(sum(everything), [x, *layer.parameters()]))
        outputs.append(output)
        finals.append(as_tuple(final))
    assert torch.equal(*outputs)
    for value, reference in zip([*finals[0], *gradients[0]], [*finals[1], *gradients[1]], strict=True):
        assert torch.equal(value, reference)
    assert not outputs[0].masked_select(beyond).any()
    assert not gradients[0][0].masked_select(beyond).any()


@settings(max_examples=12, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), more=st.integers(0, 2))
def test_row_with_length_equals_row_alone(factory, stack, lengths, more):
    layer = factory.layer(3, 5, **stack)
    generator = torch.Generator().manual_seed(sum(lengths))
    x = torch.randn(max(lengths) + more, len(lengths), 3, generator=generator, dtype=torch.float64)
    first = random_state(layer, len(lengths))
    output, final = layer(x, first, lengths=lengths)
    for row, length in enumerate(lengths):
        row_state = tuple(value[:, row : row + 1] for value in as_tuple(first))
        row_output, row_final = layer(x[:length, row : row + 1], row_state if len(row_state) > 1 else row_state[0])
        close(output[:length, row], row_output[:, 0])
        assert not output[length:, row].any()
        for value, reference in zip(as_tuple(final), as_tuple(row_final), strict=True):
            close(value[:, row], reference[:, 0])


def test_gradients_with_lengths_equal_gradients_of_rows_alone(factory, stack):
    layer = factory.layer(3, 5, **stack)
    lengths = [3, 1, 8, 3]
    x = torch.randn(8, 4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, 4, layer(x)[0].shape[-1], dtype=torch.float64)

    output, final = layer(x, lengths=lengths)
    together = (output * weight).sum() + sum((value**2).sum() for value in as_tuple(final))
    row_output = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(lengths):
        output, final = layer(x[:length, row])
        row_output = (
            row_output + (output * weight[:length, row]).sum() + sum((value**2).sum() for value in as_tuple(final))
        )
    arguments = [x, *layer.parameters()]
    for value, reference in zip(
        torch.autograd.grad(together, arguments), torch.autograd.grad(row_output, arguments), strict=True
    ):
        close(value, reference)


def test_packed_batch_equals_batch_with_lengths(factory, stack):
    layer = factory.layer(3, 5, **stack)
    lengths = torch.tensor([2, 7, 4, 7])
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    first = random_state(layer, 4)
    output, final = layer(x, first, lengths=lengths)
    packed, from_packed = layer(pack_padded_sequence(x, lengths, enforce_sorted=False), first)
    padded, unpacked_lengths = pad_packed_sequence(packed)
    assert torch.equal(unpacked_lengths, lengths)
    close(padded, output)
    close(as_tuple(from_packed), as_tuple(final))


def test_backward_direction_equals_forward_run_of_reversed_rows(factory):
    layer = factory.layer(3, 5, bidirectional=True)
    if isinstance(layer, Blocks):
        pytest.skip("blocks mix the directions")
    forward = factory.layer(3, 5)
    forward.load_state_dict({
        name: layer.state_dict()[name.replace("_l0", "_l0_reverse")] for name in forward.state_dict()
    })  # fmt: skip
    lengths = [5, 7, 2]
    x = torch.randn(7, 3, 3, dtype=torch.float64)
    backward = layer(x, lengths=lengths)[0].chunk(2, dim=-1)[1]
    for row, length in enumerate(lengths):
        close(backward[:length, row], forward(x[:length, row].flip(0))[0].flip(0))


def test_empty_batch_gives_empty_output(factory, stack):
    layer = factory.layer(3, 5, **stack)
    output, final = layer(torch.zeros(4, 0, 3, dtype=torch.float64), lengths=[])
    assert output.shape[:2] == (4, 0)
    assert all(value.shape[1] == 0 for value in as_tuple(final))


def test_reset_starts_a_new_sequence(factory, stack):
    """Steps before a mark do not affect steps after it; for a direction from the end, the reverse."""
    layer = factory.layer(3, 5, **stack)
    x = torch.randn(9, 3, 3, dtype=torch.float64)
    starts, lengths = torch.zeros(9, 3, dtype=torch.bool), [9, 6, 7]
    starts[4, 0] = starts[2, 1] = starts[0, 2] = starts[8, 2] = True  # the last is beyond its row's end
    output, final = layer(x, random_state(layer, 3), lengths=lengths, reset=starts)
    for row, cut in ((0, 4), (1, 2)):
        later, changed = layer(x[cut : lengths[row], row])
        if not layer.bidirectional:
            close(output[cut : lengths[row], row], later)
            for value, reference in zip(as_tuple(final), as_tuple(changed), strict=True):
                close(value[:, row], reference)
        elif layer.num_layers == 1 and not isinstance(layer, Blocks):  # blocks mix the directions
            half = output.shape[-1] // 2
            close(output[cut : lengths[row], row, :half], later[:, :half])
            close(output[:cut, row, half:], layer(x[:cut, row])[0][:, half:])


def test_reverse_equals_run_of_reversed_rows(factory):
    layer = factory.layer(3, 5, num_layers=2)
    lengths = [5, 7, 2]
    x = torch.randn(7, 3, 3, dtype=torch.float64)
    output, final = layer(x, lengths=lengths, reverse=True)
    for row, length in enumerate(lengths):
        reversed_output, row_final = layer(x[:length, row].flip(0))
        close(output[:length, row].flip(0), reversed_output)
        for value, reference in zip(as_tuple(final), as_tuple(row_final), strict=True):
            close(value[:, row], reference)


def test_returned_states_agree_with_output_and_final_state(factory, stack):
    layer = factory.layer(3, 5, **stack)
    x = torch.randn(6, 3, 3, dtype=torch.float64)
    lengths = [6, 2, 4]
    output, final, states = layer(x, lengths=lengths, return_states="all")
    plain, row_final = layer(x, lengths=lengths)
    close(output, plain)
    close(as_tuple(final), as_tuple(row_final))
    forward = 2 if layer.bidirectional else 1
    for name, last in zip(layer.state_sizes, as_tuple(final), strict=True):
        for row, length in enumerate(lengths):
            close(states[name][::forward, length - 1, row], last[::forward, row])
            assert not states[name][:, length:, row].any()


def test_gradients_of_layers_equal_finite_differences(factory):
    layer = factory.layer(2, 3, num_layers=2, bidirectional=True)
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    first = tuple(value.requires_grad_() for value in as_tuple(random_state(layer, 2)))
    names, weights = zip(*layer.named_parameters(), strict=True)

    def call(x, *rest):
        state = rest[: len(first)]
        row_state = dict(zip(names, rest[len(first) :], strict=True))
        output, final = torch.func.functional_call(
            layer, row_state, (x, state if len(state) > 1 else state[0]), {"lengths": [4, 2]}
        )
        return (output, *as_tuple(final))

    assert torch.autograd.gradcheck(call, (x, *first, *weights), fast_mode=True)
