"""Flags by chance: how many, and that a seed decides them."""

from __future__ import annotations

import pytest
import torch

from seriatim.kernels import native
from seriatim.ops import bernoulli as draws
from seriatim.ops.bernoulli import bernoulli_mask

WAYS = [pytest.param(False, id="pytorch"), pytest.param(True, id="engine", marks=pytest.mark.skipif(
    not native.available(), reason="the engine is not built"))]  # fmt: skip


@pytest.fixture(params=WAYS, autouse=True)
def way(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(draws, "is_traced_or_transformed", lambda x: True)


@pytest.mark.parametrize("rate", [1e-9, 0.1, 0.5, 0.9, 1.0])
def test_how_many(rate):
    torch.manual_seed(3)
    found = bernoulli_mask(rate, (50, 40, 101), torch.zeros(1))
    assert found.shape == (50, 40, 101) and found.dtype is torch.bool
    drawn_at = max(rate, 2**-16)
    deviation = (drawn_at * (1 - drawn_at) / found.numel()) ** 0.5
    assert abs(float(found.double().mean()) - drawn_at) <= 4 * deviation + 2**-17


def test_a_seed_decides_them():
    torch.manual_seed(1)
    first, second = (bernoulli_mask(0.3, (7, 33), torch.zeros(1)) for _ in range(2))
    torch.manual_seed(1)
    again = bernoulli_mask(0.3, (7, 33), torch.zeros(1))
    torch.manual_seed(2)
    other = bernoulli_mask(0.3, (7, 33), torch.zeros(1))
    assert torch.equal(again, first) and not torch.equal(second, first) and not torch.equal(other, first)


def test_no_draw_tells_of_another():
    """Of neighbours, of those 16 and 32 further on, and of calls that follow each other: a deviation of 1/900 each."""
    torch.manual_seed(4)
    one, two = (bernoulli_mask(0.5, (810_000,), torch.zeros(1)) * 2.0 - 1 for _ in range(2))
    pairs = [(one[:-apart], one[apart:]) for apart in (1, 2, 16, 32, 33, 1024)] + [(one, two), (one[:-1], two[1:])]
    assert max(abs(float((a * b).mean())) for a, b in pairs) < 4 / 900


@pytest.mark.parametrize("shape", [(0,), (1,), (31,), (32,), (33,), (3, 0, 2)])
def test_any_size(shape):
    assert bernoulli_mask(0.5, shape, torch.zeros(1)).shape == shape
