"""A stack without gradients: the same as the composed steps, and left to others where it is not an ordinary call.

Compared in float64 to 1e-12 (relative).
"""

from __future__ import annotations

import copy

import pytest
import torch

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.ops import straight
from seriatim.ops.recurrence import using

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
STACKS = {"one": {}, "stack": {"num_layers": 3}, "both": {"num_layers": 2, "bidirectional": True, "bias": False}}


@pytest.fixture(params=["RNN", "GRU", "LSTM"])
def kind(request):
    return getattr(nn, request.param)


def states(layer, rows=2):
    count = layer.num_layers * (1 + layer.bidirectional)
    made = tuple(torch.randn(count, rows, 4, dtype=torch.float64) for _ in layer.spec.states)
    return made if len(made) > 1 else made[0]


@pytest.fixture
def used(monkeypatch):
    """How often this path was taken to its end."""
    calls = []
    run = straight.Straight._run
    monkeypatch.setattr(straight.Straight, "_run", lambda *given: (calls.append(1), run(*given))[1])
    return calls


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
@torch.no_grad()
def test_results(kind, options, rows, with_state, used):
    layer, x = kind(3, 4, dtype=torch.float64, **options), torch.randn(5, rows, 3, dtype=torch.float64)
    state = states(layer, rows) if with_state else None
    found = layer(x, state)
    assert used
    with using("composed"):
        wanted = layer(x, state)
    assert len(used) == 1
    torch.testing.assert_close(found, wanted, **CLOSE)


@torch.no_grad()
def test_weights_that_change(kind, used):
    layer, x = kind(3, 4, num_layers=2, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer(x)
    for change in (
        lambda weight: weight.mul_(1.5), lambda weight: weight.data.mul_(1.5),
        lambda weight: setattr(weight, "data", weight.data * 1.5),
    ):  # fmt: skip
        change(layer.weight_hh_l1)
        found = layer(x)
        with using("composed"):
            torch.testing.assert_close(found, layer(x), **CLOSE)
        torch.testing.assert_close(copy.deepcopy(layer)(x), found, **CLOSE)
    assert len(used) == 7


def test_left_to_others(kind, used):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer(x)  # its weights want gradients
    layer.requires_grad_(False)
    layer(x.clone().requires_grad_())
    layer(x, lengths=[5, 3])
    layer(x, reverse=True)
    layer(x[:, 0])
    layer(x.transpose(0, 1).contiguous().transpose(0, 1))
    for wrong in (x.float(), x[:, :, :2], x[:0]):
        with pytest.raises(UsageError, match="input: got"):
            layer(wrong)
    with pytest.raises(UsageError, match="hx: "):
        layer(x, states(layer, 3))
    kind(3, 4, zoneout=0.1, dtype=torch.float64)(x)
    assert not used
    layer(x)
    assert used
