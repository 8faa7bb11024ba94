"""Layers and cells in other processes: distributed training, and a process without the engine."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from seriatim import nn

WORKER = """
import sys
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from seriatim import nn

rank, place = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.cell = nn.LSTM(3, 4, dtype=torch.float64), nn.GRUCell(4, 5, dtype=torch.float64)

    def forward(self, x):
        state = None
        for step in self.layer(x)[0]:
            state = self.cell(step, state)
        return state

torch.manual_seed(0)
model = DistributedDataParallel(Model())
x = torch.load(f"{place}/x")
for _ in range(2):
    model.zero_grad()
    model(x[rank]).square().sum().backward()
torch.save([weight.grad for weight in model.parameters()], f"{place}/{rank}")
distributed.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="PyTorch was built without it")
def test_data_parallel_training(tmp_path):
    """Both processes get the mean of the gradients of both."""
    x = torch.randn(2, 6, 3, 3, dtype=torch.float64)
    torch.save(x, tmp_path / "x")
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    torch.manual_seed(0)
    layer, cell = nn.LSTM(3, 4, dtype=torch.float64), nn.GRUCell(4, 5, dtype=torch.float64)
    for sequence in x:
        state = None
        for step in layer(sequence)[0]:
            state = cell(step, state)
        (state.square().sum() / 2).backward()
    expected = [weight.grad for weight in (*layer.parameters(), *cell.parameters())]
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / str(rank)), expected, rtol=1e-12, atol=1e-12)


def test_without_the_engine_pytorch_is_used():
    code = """
import sys, warnings
sys.modules["seriatim.kernels._native"] = None
import torch
from seriatim import nn
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    x = torch.randn(5, 2, 3)
    theirs, ours = torch.nn.LSTM(3, 4), nn.LSTM(3, 4)
    ours.load_state_dict(theirs.state_dict())
    output, _ = ours(x)
    torch.testing.assert_close(output, theirs(x)[0])
    output.sum().backward()
    cell = nn.GRUCell(3, 4, reset_after=False)
    cell(x[1], cell(x[0])).sum().backward()
assert [str(warning.message)[:36] for warning in said] == ["the native engine was not built, so "], said
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


def test_exit_prints_nothing():
    code = """
import torch
from seriatim import nn
layer, cell = nn.LSTM(3, 4), nn.GRUCell(3, 4)
layer(torch.zeros(2, 1, 3)), cell(torch.zeros(1, 3))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
