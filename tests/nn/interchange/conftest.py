"""Shared parts of the converters' tests: recorded cases, and the comparison of outputs.

Metric: the largest absolute difference of output and final states, divided by the largest value if that is above 1, as
c and relu's h can be.
Tolerance: 2e-6 in float32, where the engine and the framework sum in another order and have different σ and tanh, both
exact to a few units in the last place; 1e-12 in float64.
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


def as_array(recorded, dtype):
    """Read a recorded array."""
    if isinstance(recorded, dict):
        return np.full(recorded["shape"], recorded["full"], dtype)
    return np.asarray(recorded, dtype)


def nested(recorded, dtype):
    """Read recorded parameters, with arrays in place of lists."""
    if isinstance(recorded, dict) and "full" not in recorded:
        return {name: nested(value, dtype) for name, value in recorded.items()}
    return as_array(recorded, dtype)


def state_of(values):
    return list(values) if isinstance(values, tuple) else [values]


def as_torch(state):
    """Convert [h] or [h, c] to the state that a layer takes."""
    tensors = tuple(torch.from_numpy(np.array(value)) for value in state)
    return tensors[0] if len(tensors) == 1 else tensors


def difference(values, references):
    """The largest difference of several pairs of arrays, of the same shapes and dtypes."""
    largest = 0.0
    for value, reference in zip(values, references, strict=True):
        value, reference = (
            np.asarray(array.detach() if isinstance(array, torch.Tensor) else array) for array in (value, reference)
        )
        assert value.shape == reference.shape
        assert value.dtype == reference.dtype
        largest = max(largest, float(np.abs(value - reference).max() / max(1.0, np.abs(reference).max())))
    return largest


def perturb(layer):
    """Draw all weights and biases of a layer anew, so that none is 0."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.5)
    return layer


@pytest.fixture(scope="session")
def tools():
    """The functions of this file."""
    shared = (as_array, nested, state_of, as_torch, difference, perturb)
    return SimpleNamespace(TOLERANCE=TOLERANCE, **{value.__name__: value for value in shared})


@pytest.fixture(scope="session")
def record():
    """``record.py``, for the tests that run a framework."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    spec = importlib.util.spec_from_file_location("interchange_record", HERE / "record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc):
    """Parametrise ``case`` with the recorded cases of the framework that the test's file names as ``RECORDED``."""
    if "case" in metafunc.fixturenames:
        lines = (HERE / "recorded" / f"{metafunc.module.RECORDED}.json").read_text(encoding="utf-8").splitlines()
        cases = [json.loads(line) for line in lines]
        metafunc.parametrize("case", cases, ids=[value["name"] for value in cases])
