"""What the tests of every door share: recorded cases, and how outputs are compared.

Metric: the largest absolute difference of output and final states, as a share of the largest value where that is
above 1, as c and relu's h can be.
Tolerance: 2e-6 in float32, where the engine and the framework sum in another order and have their own σ and tanh, both
a few units in the last place off; 1e-12 in float64.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

HERE = Path(__file__).parent
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


def as_array(given, dtype):
    """A recorded array."""
    if isinstance(given, dict):
        return np.full(given["shape"], given["full"], dtype)
    return np.asarray(given, dtype)


def nested(given, dtype):
    """Recorded parameters with arrays in place of lists."""
    if isinstance(given, dict) and "full" not in given:
        return {name: nested(one, dtype) for name, one in given.items()}
    return as_array(given, dtype)


def state_of(found):
    return list(found) if isinstance(found, tuple) else [found]


def as_torch(state):
    """[h] or [h, c] of arrays as a layer takes it."""
    tensors = tuple(torch.from_numpy(np.array(one)) for one in state)
    return tensors[0] if len(tensors) == 1 else tensors


def difference(found, wanted):
    """The largest difference of several pairs of arrays, of the same shapes and dtypes."""
    largest = 0.0
    for one, other in zip(found, wanted, strict=True):
        one, other = (np.asarray(each.detach() if isinstance(each, torch.Tensor) else each) for each in (one, other))
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        largest = max(largest, float(np.abs(one - other).max() / max(1.0, np.abs(other).max())))
    return largest


def perturb(layer):
    """A layer with every weight and bias drawn anew, none of them 0."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.5)
    return layer


@pytest.fixture(scope="session")
def tools():
    """The functions of this file."""
    shared = (as_array, nested, state_of, as_torch, difference, perturb)
    return SimpleNamespace(TOLERANCE=TOLERANCE, **{one.__name__: one for one in shared})


@pytest.fixture(scope="session")
def record():
    """``record.py``, for the tests that run a framework."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    spec = importlib.util.spec_from_file_location("interchange_record", HERE / "record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc):
    """``case`` is every recorded case of the framework that the test's file names as ``RECORDED``."""
    if "case" in metafunc.fixturenames:
        lines = (HERE / "recorded" / f"{metafunc.module.RECORDED}.json").read_text(encoding="utf-8").splitlines()
        cases = [json.loads(line) for line in lines]
        metafunc.parametrize("case", cases, ids=[one["name"] for one in cases])
