"""Networks with planted faults, and the evidence that is measured of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from seriatim.insight.data import DataMeasures
from seriatim.insight.evidence import Evidence, Limit
from seriatim.insight.information import LagInformation
from seriatim.insight.network import NetworkMeasures, measure
from seriatim.insight.probe import Probe
from seriatim.models.bodies import build_body
from seriatim.models.options import ModelOptions

STEPS, ROWS, CHANNELS = 60, 8, 3


def network(
    model: str, plant: Callable[[nn.Module], None] = lambda layers: None, *, hidden: int = 12, scale: float = 1.0,
    **options: object,
) -> NetworkMeasures:  # fmt: skip
    """Measure a body with random weights after ``plant`` has changed them; its loss reads the last state."""
    torch.manual_seed(0)
    body = build_body(ModelOptions(model=model, hidden=hidden, **options), CHANNELS, causal=True).eval()
    with torch.no_grad():
        plant(body)
    inputs = scale * torch.randn(STEPS, ROWS, CHANNELS)
    readout = torch.randn(hidden)
    return measure(Probe(body, inputs, lambda x: (body(x)[0][-1] @ readout - 0.5).square()))


def parameter(body: nn.Module, name: str) -> nn.Parameter:
    """The parameter of the first layer whose name begins with ``name``."""
    return next(value for key, value in body.named_parameters() if key.split(".")[-1].startswith(name))


def data(need: int, longest: int = 100) -> DataMeasures:
    """Data that depend on their past for ``need`` steps."""
    lags = np.arange(1, longest + 1)
    return DataMeasures(LagInformation(lags, np.where(lags <= need, 0.5, 0.0), 0.05))


def evidence(measures: NetworkMeasures | None = None, need: int = 20, limit: int = 60, **others: object) -> Evidence:
    """The evidence of a language model whose truncation is ``limit``."""
    fields = {
        "task": "language", "model": "lstm", "options": {"lr": 1e-3, "clip": 1.0}, "network": measures,
        "data": data(need), "limit": Limit(limit, "--truncation", "truncation"),
    }  # fmt: skip
    return Evidence(**{**fields, **others})
