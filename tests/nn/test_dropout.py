"""Locked dropout: one mask per sequence."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn import LockedDropout


def test_mask_is_the_same_at_all_steps():
    torch.manual_seed(0)
    x = torch.randn(9, 3, 200) + 10
    dropped = LockedDropout(0.25)(x)
    mask = dropped / x
    assert torch.allclose(mask, mask[:1].expand_as(mask))
    assert not torch.allclose(mask[:, 0], mask[:, 1])
    assert mask.round(decimals=3).unique().tolist() == pytest.approx([0.0, 1.333])
    assert 0.6 < float((mask > 0).float().mean()) < 0.9


def test_no_drop_in_evaluation_or_with_p_of_zero():
    x = torch.randn(2, 3, 4)
    assert LockedDropout(0.5).eval()(x) is x
    assert LockedDropout(0.0)(x) is x


def test_p_of_one_drops_everything():
    assert not LockedDropout(1.0)(torch.ones(2, 3, 4)).any()


def test_refusals():
    with pytest.raises(UsageError, match="p: got 2, wanted a number from 0 to 1"):
        LockedDropout(2)
    with pytest.raises(UsageError, match=r"input: got \[2, 3\], wanted \[T, B, C\]"):
        LockedDropout()(torch.zeros(2, 3))


def test_repr():
    assert repr(LockedDropout(0.25)) == "LockedDropout(p=0.25)"
