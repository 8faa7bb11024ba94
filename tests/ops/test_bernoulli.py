"""Random masks: their rate, and that the seed determines them."""

from __future__ import annotations

import pytest
import torch

from seriatim.kernels import native
from seriatim.ops import bernoulli
from seriatim.ops.bernoulli import bernoulli_mask

WAYS = [pytest.param(False, id="pytorch"), pytest.param(True, id="engine", marks=pytest.mark.skipif(
    not native.available(), reason="the engine is not built"))]  # fmt: skip


@pytest.fixture(params=WAYS, autouse=True)
def way(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(bernoulli, "is_traced_or_transformed", lambda tensors: True)


@pytest.mark.parametrize("rate", [1e-9, 0.1, 0.5, 0.9, 1.0])
def test_rate_of_true_values(rate):
    torch.manual_seed(3)
    mask = bernoulli_mask(rate, (50, 40, 101), torch.zeros(1))
    assert mask.shape == (50, 40, 101) and mask.dtype is torch.bool
    drawn_at = max(rate, 2**-16)
    deviation = (drawn_at * (1 - drawn_at) / mask.numel()) ** 0.5
    assert abs(float(mask.double().mean()) - drawn_at) <= 4 * deviation + 2**-17


def test_seed_determines_mask():
    torch.manual_seed(1)
    first, second = (bernoulli_mask(0.3, (7, 33), torch.zeros(1)) for _ in range(2))
    torch.manual_seed(1)
    repeated = bernoulli_mask(0.3, (7, 33), torch.zeros(1))
    torch.manual_seed(2)
    third = bernoulli_mask(0.3, (7, 33), torch.zeros(1))
    assert torch.equal(repeated, first) and not torch.equal(second, first) and not torch.equal(third, first)


def test_draws_are_uncorrelated():
    """Correlations at several distances and between successive calls. Each has a standard deviation of 1/900."""
    torch.manual_seed(4)
    first, second = (bernoulli_mask(0.5, (810_000,), torch.zeros(1)) * 2.0 - 1 for _ in range(2))
    pairs = [(first[:-distance], first[distance:]) for distance in (1, 2, 16, 32, 33, 1024)] + [
        (first, second),
        (first[:-1], second[1:]),
    ]
    assert max(abs(float((a * b).mean())) for a, b in pairs) < 4 / 900


@pytest.mark.parametrize("shape", [(0,), (1,), (31,), (32,), (33,), (3, 0, 2)])
def test_mask_shape(shape):
    assert bernoulli_mask(0.5, shape, torch.zeros(1)).shape == shape
