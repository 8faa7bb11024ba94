from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn import LockedDropout


def test_one_mask_per_sequence():
    torch.manual_seed(0)
    x = torch.randn(9, 3, 200) + 10
    dropped = LockedDropout(0.25)(x)
    mask = dropped / x
    assert torch.allclose(mask, mask[:1].expand_as(mask))
    assert not torch.allclose(mask[:, 0], mask[:, 1])
    assert mask.round(decimals=3).unique().tolist() == pytest.approx([0.0, 1.333])
    assert 0.6 < float((mask > 0).float().mean()) < 0.9


def test_nothing_is_dropped_in_evaluation_or_at_zero():
    x = torch.randn(2, 3, 4)
    assert LockedDropout(0.5).eval()(x) is x
    assert LockedDropout(0.0)(x) is x


def test_all_is_dropped_at_one():
    assert not LockedDropout(1.0)(torch.ones(2, 3, 4)).any()


def test_refusals():
    with pytest.raises(UsageError, match="p: got 2, wanted a number from 0 to 1"):
        LockedDropout(2)
    with pytest.raises(UsageError, match=r"input: got \[2, 3\], wanted \[T, B, C\]"):
        LockedDropout()(torch.zeros(2, 3))


def test_repr():
    assert repr(LockedDropout(0.25)) == "LockedDropout(p=0.25)"
