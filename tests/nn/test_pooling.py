"""Pooling of a layer's output over time."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn import GRU
from seriatim.nn.pooling import POOLINGS, last, maximum, mean
from seriatim.tasks.options import ClassifyOptions

LENGTHS = [2, 7, 4]


def test_table_has_all_options():
    choices = ClassifyOptions.__dataclass_fields__["pool"].metadata["choices"]
    assert set(POOLINGS) == set(choices)


@pytest.mark.parametrize("name", POOLINGS)
def test_row_with_length_equals_row_alone(name):
    pool = POOLINGS[name]
    output = torch.randn(7, 3, 5)
    pooled = pool(output, LENGTHS)
    assert pooled.shape == (3, 5)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(pooled[row], pool(output[:length, row : row + 1])[0])
    torch.testing.assert_close(pool(output), pool(output, [7, 7, 7]))


@pytest.mark.parametrize("name", POOLINGS)
def test_steps_beyond_the_end_do_not_count(name):
    output = torch.randn(7, 3, 5)
    expected = POOLINGS[name](output, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        output[length:, row] = torch.nan
    assert torch.equal(POOLINGS[name](output, torch.tensor(LENGTHS)), expected)


def test_values_by_hand():
    output = torch.tensor([[[-3.0]], [[-1.0]], [[-2.0]], [[9.0]]])
    assert [pool(output, [3]).item() for pool in (last, mean, maximum)] == [-2.0, -2.0, -1.0]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_last_equals_the_final_state_of_each_direction(bidirectional):
    layer = GRU(3, 5, bidirectional=bidirectional)
    output, h_n = layer(torch.randn(7, 3, 3), lengths=LENGTHS)
    torch.testing.assert_close(last(output, LENGTHS, directions=len(h_n)), torch.cat(list(h_n), dim=-1))


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_are_finite(name):
    output = torch.randn(7, 3, 4, requires_grad=True)
    POOLINGS[name](output, LENGTHS, directions=2).sum().backward()
    assert output.grad.isfinite().all()
    assert not output.grad[4:, 2].any()


def test_refusals():
    with pytest.raises(UsageError, match="lengths: got 8 in row 1, wanted at most 7 steps"):
        mean(torch.zeros(7, 3, 5), [2, 8, 4])
