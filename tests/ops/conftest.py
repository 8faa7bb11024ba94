"""Fixtures of the operators' tests."""

from __future__ import annotations

import pytest
import torch

from ops.layer_cases import VARIANTS


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def layer(request):
    """A float64 layer with three inputs and four units, of each variant in turn."""
    torch.manual_seed(1)
    kind, options = request.param
    return kind(3, 4, dtype=torch.float64, **options)
