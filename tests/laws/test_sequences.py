"""Laws of a sequence: how it is cut, batched, padded, packed or turned round does not change what is computed.

float64; results agree to rounding, 1e-12, because the same sums may be taken in another order.
"""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def close(one, other):
    torch.testing.assert_close(one, other, **CLOSE)


def random_state(layer, rows, seed=7):
    """A first state that is not zero, in the layer's own form."""
    generator = torch.Generator().manual_seed(seed)
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    widths = [layer.spec.state_size(name) for name in layer.spec.states]
    state = tuple(torch.randn(count, rows, width, generator=generator, dtype=torch.float64) for width in widths)
    return state if len(state) > 1 else state[0]


def test_split_run_is_whole_run(variant):
    layer = variant.layer(3, 5, num_layers=2)
    x = torch.randn(17, 3, 3, dtype=torch.float64)
    whole, final = layer(x)
    state, pieces = None, []
    for piece in x.split([1, 3, 13]):
        output, state = layer(piece, state)
        pieces.append(output)
    close(torch.cat(pieces), whole)
    close(as_tuple(state), as_tuple(final))


def test_rows_do_not_touch_each_other(variant, stack):
    layer = variant.layer(3, 5, **stack)
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    before, final = layer(x, lengths=[7, 2, 5, 5])
    x[:, 1] += 100.0
    after, disturbed = layer(x, lengths=[7, 2, 5, 5])
    kept = [0, 2, 3]
    assert torch.equal(before[:, kept], after[:, kept])
    assert not torch.equal(before[:, 1], after[:, 1])
    for one, other in zip(as_tuple(final), as_tuple(disturbed), strict=True):
        assert torch.equal(one[:, kept], other[:, kept])


def test_padding_is_never_read(variant, stack):
    """Not a number beyond the end reaches no output, no state and no gradient."""
    layer = variant.layer(3, 5, **stack)
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
def test_lengths_are_each_row_alone(variant, stack, lengths, more):
    layer = variant.layer(3, 5, **stack)
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


def test_gradients_through_lengths_are_those_of_each_row_alone(variant, stack):
    layer = variant.layer(3, 5, **stack)
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


def test_packing_is_another_way_to_give_lengths(variant, stack):
    layer = variant.layer(3, 5, **stack)
    lengths = torch.tensor([2, 7, 4, 7])
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    first = random_state(layer, 4)
    output, final = layer(x, first, lengths=lengths)
    packed, from_packed = layer(pack_padded_sequence(x, lengths, enforce_sorted=False), first)
    padded, found = pad_packed_sequence(packed)
    assert torch.equal(found, lengths)
    close(padded, output)
    close(as_tuple(from_packed), as_tuple(final))


def test_the_backward_direction_is_a_forward_run_of_reversed_rows(variant):
    layer = variant.layer(3, 5, bidirectional=True)
    forward = variant.layer(3, 5)
    forward.load_state_dict({
        name: layer.state_dict()[name.replace("_l0", "_l0_reverse")] for name in forward.state_dict()
    })  # fmt: skip
    lengths = [5, 7, 2]
    x = torch.randn(7, 3, 3, dtype=torch.float64)
    backward = layer(x, lengths=lengths)[0].chunk(2, dim=-1)[1]
    for row, length in enumerate(lengths):
        close(backward[:length, row], forward(x[:length, row].flip(0))[0].flip(0))


def test_no_rows_give_no_rows(variant, stack):
    layer = variant.layer(3, 5, **stack)
    output, final = layer(torch.zeros(4, 0, 3, dtype=torch.float64), lengths=[])
    assert output.shape[:2] == (4, 0)
    assert all(one.shape[1] == 0 for one in as_tuple(final))
