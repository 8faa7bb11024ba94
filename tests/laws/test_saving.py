"""Save, load, run is bit-equal; so is the same seed."""

from __future__ import annotations

import torch
from safetensors.torch import load_file, save_file


def test_save_load_run_is_bit_equal(layered, stack, tmp_path):
    layer = layered.layer(3, 17, dtype=torch.float32, **stack)
    x = torch.randn(9, 3, 3)
    lengths = [9, 3, 5]
    before = layer(x, lengths=lengths)[0]
    save_file(layer.state_dict(), tmp_path / "layer.safetensors")
    other = layered.layer(3, 17, dtype=torch.float32, **stack)
    assert not torch.equal(other(x, lengths=lengths)[0], before)
    other.load_state_dict(load_file(tmp_path / "layer.safetensors"))
    assert torch.equal(other(x, lengths=lengths)[0], before)


def test_same_seed_same_training(layered, stack):
    def train():
        torch.manual_seed(3)
        layer = layered.layer(3, 5, dtype=torch.float32, dropout=0.2, locked_dropout=0.2, **stack)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            layer(torch.randn(6, 4, 3), lengths=[6, 1, 4, 4])[0].square().mean().backward()
            optimizer.step()
        return layer.state_dict()

    one, other = train(), train()
    assert all(torch.equal(one[name], other[name]) for name in one)
