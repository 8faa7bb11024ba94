"""Tensors that do not fit the weights are refused before the engine reads memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops.recurrence import recurrence, step, using
from seriatim.spec import CellSpec

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

LSTM = CellSpec("lstm", 3, 4)
PEEPHOLE = CellSpec("lstm", 3, 4, peephole=True)


def weights_of(spec, **changes):
    shapes = {"w_ih": (16, 3), "w_hh": (16, 4), "b_ih": (16,), "b_hh": (16,)}
    if spec.peephole:
        shapes["w_ch"] = (3, 4)
    return Weights(**({name: torch.randn(shape) for name, shape in shapes.items()} | changes))


WRONG = {
    "x: got .*5.*wanted": {"x": torch.zeros(6, 2, 5)},
    "x: got .*float64": {"x": torch.zeros(6, 2, 3, dtype=torch.float64)},
    "x: got .*at least one step": {"x": torch.zeros(0, 2, 3)},
    "h: got .*5.*wanted": {"h": torch.zeros(2, 5)},
    "h: got .*3, 4.*wanted": {"h": torch.zeros(3, 4)},
    "c: got .*5.*wanted": {"c": torch.zeros(2, 5)},
    "c: got .*float64": {"c": torch.zeros(2, 4, dtype=torch.float64)},
    "w_hh: got": {"w_hh": torch.zeros(16, 5)},
    "b_hh: got": {"b_hh": None},
}
WRONG_IN_STEPS = {message: changes for message, changes in WRONG.items() if "step" not in message}


@pytest.mark.parametrize(
    ("name", "is_masked"), [("eager", False), ("native", False), ("native", True)], ids=["eager", "native", "masked"]
)
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize(("message", "changes"), WRONG.items(), ids=[message[:20] for message in WRONG])
def test_wrong_tensors_of_a_layer(message, changes, requires_grad, is_masked, name):
    spec = PEEPHOLE if name == "native" else LSTM
    tensors = {"x": torch.zeros(6, 2, 3), "h": torch.zeros(2, 4), "c": torch.zeros(2, 4)}
    tensors |= {key: value for key, value in changes.items() if key in tensors}
    weights = weights_of(spec, **{key: value for key, value in changes.items() if key not in tensors})
    weights.w_ih.requires_grad_(requires_grad)
    walk = Walk(lengths=torch.tensor([6, 4])) if is_masked else Walk()
    with using(name), pytest.raises(UsageError, match=message):
        recurrence(spec, tensors["x"], (tensors["h"], tensors["c"]), weights, walk)


@pytest.mark.parametrize("name", ["eager", "native"])
@pytest.mark.parametrize(
    ("message", "changes"), WRONG_IN_STEPS.items(), ids=[message[:20] for message in WRONG_IN_STEPS]
)
def test_wrong_tensors_of_a_step(message, changes, name):
    spec = PEEPHOLE if name == "native" else LSTM
    tensors = {"x": torch.zeros(6, 2, 3), "h": torch.zeros(2, 4), "c": torch.zeros(2, 4)}
    tensors |= {key: value for key, value in changes.items() if key in tensors}
    weights = weights_of(spec, **{key: value for key, value in changes.items() if key not in tensors})
    with using(name), pytest.raises(UsageError, match=message):
        step(spec, tensors["x"][0], (tensors["h"], tensors["c"]), weights)


def test_a_missing_c_is_refused():
    with pytest.raises(UsageError, match="c: got None"):
        recurrence(LSTM, torch.zeros(6, 2, 3), (torch.zeros(2, 4),), weights_of(LSTM))


CROWDED = """
import os, subprocess, sys, torch
from seriatim import nn

loop = f"import os\\nwhile os.getppid() == {os.getpid()}: pass"  # it ends with its parent
busy = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(4)]
try:
    torch.manual_seed(0)
    layer, x = nn.GRU(16, 512, dtype=torch.float64), torch.randn(100, 2, 16, dtype=torch.float64)
    gradients = []
    for threads in (1, 5):
        torch.set_num_threads(threads)
        layer.zero_grad()
        layer(x)[0].sum().backward()
        gradients.append([parameter.grad.clone() for parameter in layer.parameters()])
finally:
    for process in busy:
        process.kill()
torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)  # sums have another order
"""


@pytest.mark.processes
def test_threads_that_wait_long_for_others_are_woken():
    # Threads sleep while they wait for others that share a processor with busy processes, and must be woken.
    subprocess.run([sys.executable, "-c", CROWDED], check=True, timeout=120)
