"""Horizons of networks that were trained to recall a known lag agree with where their accuracy breaks down."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seriatim.insight.ablation import ablate
from seriatim.insight.network import measure
from seriatim.insight.probe import Probe
from seriatim.models.bodies import build_body
from seriatim.models.options import ModelOptions

pytestmark = pytest.mark.slow

STEPS, ROWS = 24, 64


def batch(generator: torch.Generator, lag: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bits ±1 [T, B, 1], and at the last step the bit of ``lag`` steps before."""
    bits = torch.randint(0, 2, (STEPS, ROWS, 1), generator=generator) * 2.0 - 1
    return bits, bits[-1 - lag, :, 0]


def trained(lag: int) -> Probe:
    """A GRU that was trained to recall the bit ``lag`` steps before the end, with the loss of a probe."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    body = build_body(ModelOptions(model="gru", hidden=16), 1, causal=True)
    head = nn.Linear(16, 1)
    parameters = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    for _ in range(500):
        bits, expected = batch(generator, lag)
        outputs, _ = body(bits)
        # Every step is asked, so that the lag is learned soon.
        answers = head(outputs)[lag:, :, 0]
        loss = (answers - bits[: STEPS - lag, :, 0]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    assert float(loss.detach()) < 0.02
    bits, expected = batch(generator, lag)
    body.eval()
    return Probe(body, bits, lambda inputs: (head(body(inputs)[0][-1])[:, 0] - expected).square())


@pytest.mark.parametrize("lag", [3, 6])
def test_ablation_breaks_down_where_the_answer_is_lost(lag: int) -> None:
    probe = trained(lag)
    result = ablate(probe.losses, probe.inputs, range(1, STEPS + 1), "cut")
    assert min(result.excess[:lag]) > 0.5
    assert max(result.excess[lag + 1 :]) < 0.1
    assert lag + 1 <= result.horizon(share=0.1).lag <= lag + 2


def test_gradient_is_largest_at_the_lag_that_is_recalled() -> None:
    probe = trained(6)
    measures = measure(probe)
    curve = measures.gradient.median
    assert int(curve.argmax()) == 6
    assert float(curve[12:].max()) < 0.2 * float(curve[6])
