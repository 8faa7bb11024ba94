"""A saved and loaded layer gives the same bits; training with the same seed does too."""

from __future__ import annotations

import torch
from safetensors.torch import load_file, save_file


def test_save_load_run_is_bit_equal(factory, stack, tmp_path):
    layer = factory.layer(3, 17, dtype=torch.float32, **stack)
    x = torch.randn(9, 3, 3)
    lengths = [9, 3, 5]
    expected = layer(x, lengths=lengths)[0]
    save_file(layer.state_dict(), tmp_path / "layer.safetensors")
    loaded = factory.layer(3, 17, dtype=torch.float32, **stack)
    assert not torch.equal(loaded(x, lengths=lengths)[0], expected)
    loaded.load_state_dict(load_file(tmp_path / "layer.safetensors"))
    assert torch.equal(loaded(x, lengths=lengths)[0], expected)


def test_same_seed_gives_same_training(factory, stack):
    def train():
        torch.manual_seed(3)
        layer = factory.layer(3, 5, dtype=torch.float32, dropout=0.2, locked_dropout=0.2, **stack)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            layer(torch.randn(6, 4, 3), lengths=[6, 1, 4, 4])[0].square().mean().backward()
            optimizer.step()
        return layer.state_dict()

    first, loaded = train(), train()
    assert all(torch.equal(first[name], loaded[name]) for name in first)
