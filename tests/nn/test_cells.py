"""Refusals, repr and state_dict of cells. Parity and laws test their results."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn import GRUCell, LSTMCell, RNNCell


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GRUCell(3, 0), "hidden_size: got 0, wanted a whole number of at least 1"),
        (lambda: GRUCell(3, 5)(torch.zeros(2, 2, 3)), "input: got [2, 2, 3], wanted [I] or [B, I]"),
        (lambda: GRUCell(3, 5)(torch.zeros(2, 4)), "input: got [2, 4], wanted input_size 3 in the last axis"),
        (lambda: GRUCell(3, 5)(torch.zeros(2, 3), torch.zeros(3, 5)), "hx: h has shape [3, 5], wanted [2, 5]"),
        (
            lambda: LSTMCell(3, 5)(torch.zeros(2, 3), (torch.zeros(2, 5),)),
            "hx: got tuple of 1, wanted a tuple of tensors (h, c)",
        ),
        (
            lambda: LSTMCell(3, 5)(torch.zeros(2, 3), torch.zeros(2, 5)),
            "hx: got Tensor, wanted a tuple of tensors (h, c)",
        ),
        (lambda: GRUCell(3, 5)(torch.zeros(2, 3), (torch.zeros(2, 5),)), "hx: got tuple of 1, wanted one tensor h"),
        (
            lambda: RNNCell(3, 5)(torch.zeros(2, 3, dtype=torch.float64)),
            "input: got float64, wanted float32, as the weights are",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message


def test_projected_cell_has_a_narrow_h():
    h, c = LSTMCell(3, 5, proj_size=2)(torch.zeros(4, 3))
    assert (h.shape, c.shape) == ((4, 2), (4, 5))


def test_repr_shows_options_that_are_not_default():
    assert repr(RNNCell(3, 5, nonlinearity="relu")) == "RNNCell(3, 5, nonlinearity=relu)"
    assert repr(LSTMCell(3, 5, bias=False, proj_size=2)) == "LSTMCell(3, 5, proj_size=2, bias=False)"
    assert repr(GRUCell(3, 5, reset_after=False)) == "GRUCell(3, 5, reset_after=False)"
    assert repr(LSTMCell(3, 5, peephole=True, layer_norm=True)) == "LSTMCell(3, 5, peephole=True, layer_norm=True)"


def test_state_dict_without_options_equals_pytorchs():
    for make in (RNNCell, LSTMCell, GRUCell):
        theirs = getattr(torch.nn, make.__name__)(3, 5).state_dict()
        ours = make(3, 5).state_dict()
        assert [(name, value.shape) for name, value in ours.items()] == [(n, v.shape) for n, v in theirs.items()]


def test_empty_batch_gives_empty_state():
    assert GRUCell(3, 5)(torch.zeros(0, 3)).shape == (0, 5)
    h, c = LSTMCell(3, 5, peephole=True)(torch.zeros(0, 3))
    assert (h.shape, c.shape) == ((0, 5), (0, 5))
