"""Lengths by blocks: only existing steps are computed, and masks follow their steps."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops.variable_length import Block, blocks_of, over_lengths
from seriatim.spec import CellSpec

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=8)
SPEC = CellSpec("rnn", 1, 1)
NONE = Weights(torch.empty(0), torch.empty(0))


class Counter:
    """A recurrence that adds up its input and records the shapes of its calls."""

    def __init__(self):
        self.blocks = []

    def __call__(self, spec, x, state, weights, walk):
        self.blocks.append(tuple(x.shape[:2]))
        output = x.cumsum(0) + state[0]
        return output, (output[-1],)


def test_docstring_example():
    assert blocks_of([7, 4, 4, 2]) == [Block(2, 4), Block(2, 3), Block(3, 1)]


@given(lengths=LENGTHS)
def test_blocks_cover_each_step_once(lengths):
    blocks = blocks_of(sorted(lengths, reverse=True))
    assert sum(block.steps * block.rows for block in blocks) == sum(lengths)
    assert len(blocks) == len(set(lengths))
    assert all(block.steps > 0 and block.rows > 0 for block in blocks)


@given(lengths=LENGTHS, more=st.integers(0, 3), reverse=st.booleans())
def test_sums_over_lengths(lengths, more, reverse):
    """Compare the results with sums by hand, and count the computed steps."""
    padded = Counter()
    x = torch.arange(1.0, (max(lengths) + more) * len(lengths) + 1).view(-1, len(lengths), 1)
    start = torch.arange(len(lengths))[:, None] * 1000.0
    output, (final,) = over_lengths(padded)(SPEC, x, (start,), NONE, Walk(torch.tensor(lengths), reverse))
    assert sum(steps * rows for steps, rows in padded.blocks) == sum(lengths)
    assert output.shape == x.shape
    for row, length in enumerate(lengths):
        own = x[:length, row].flip(0) if reverse else x[:length, row]
        sums = own.cumsum(0) + start[row]
        assert torch.equal(output[:length, row], sums.flip(0) if reverse else sums)
        assert not output[length:, row].any()
        assert torch.equal(final[row], sums[-1])


def test_equal_lengths_make_one_call():
    x = torch.ones(5, 3, 1)
    for lengths in (None, torch.tensor([5, 5, 5]), torch.tensor([4, 4, 4])):
        for reverse in (False, True):
            padded = Counter()
            over_lengths(padded)(SPEC, x, (torch.zeros(3, 1),), NONE, Walk(lengths, reverse))
            assert padded.blocks == [(5 if lengths is None else int(lengths[0]), 3)]


def test_arguments_are_not_changed():
    x, lengths = torch.randn(5, 3, 1), torch.tensor([2, 5, 1])
    copies = x.clone(), lengths.clone()
    over_lengths(Counter())(SPEC, x, (torch.zeros(3, 1),), NONE, Walk(lengths, True))
    assert torch.equal(x, copies[0])
    assert torch.equal(lengths, copies[1])


def test_masks_stay_with_their_steps():
    """A recurrence that returns its masks returns them unchanged at all steps of all rows."""
    lengths = torch.tensor([2, 5, 1, 5])
    reset = torch.rand(6, 4) < 0.5
    for steps, rows in ((6, 4), (1, 1), (6, 1), (1, 4)):
        zoneout, dropout = torch.rand(steps, rows, 1), torch.rand(4, 1)

        def masks_as_output(spec, x, state, weights, walk):
            block = (*x.shape[:2], 1)
            parts = [x, walk.reset[:, :, None], walk.dropout.expand(block), walk.zoneout[0].expand(block)]
            return torch.cat(parts, dim=2), state

        x = torch.rand(6, 4, 1)
        expected = torch.cat([x, reset[:, :, None], dropout.expand(6, 4, 1), zoneout.expand(6, 4, 1)], dim=2)
        expected = expected * (torch.arange(6)[:, None] < lengths)[:, :, None]
        for reverse in (False, True):
            walk = Walk(lengths, reverse, reset, dropout, (zoneout, None))
            output, _ = over_lengths(masks_as_output)(SPEC, x, (torch.zeros(4, 1),), NONE, walk)
            assert torch.equal(output, expected)


def test_reversed_rows_under_vmap():
    walk = Walk(torch.tensor([2, 3]), reverse=True)

    def run(x):
        return over_lengths(Counter())(SPEC, x, (torch.zeros(2, 1),), NONE, walk)[0]

    x = torch.rand(5, 3, 2, 1)
    assert torch.equal(torch.func.vmap(run)(x), torch.stack([run(sample) for sample in x]))
