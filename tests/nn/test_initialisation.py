from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.models.options import INITIALISATIONS
from seriatim.nn import GRU, LSTM, RNN, GRUCell, LSTMCell
from seriatim.nn.initialisation import RECURRENT, forget_bias_, orthogonal_recurrent_, uniform_


def test_the_table_has_every_option():
    assert set(RECURRENT) == set(INITIALISATIONS)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU, LSTMCell, GRUCell])
def test_every_block_is_orthogonal(make):
    module = make(3, 17) if make in (LSTMCell, GRUCell) else make(3, 17, num_layers=2, bidirectional=True)
    untouched = {name: value.clone() for name, value in module.state_dict().items() if "weight_hh" not in name}
    orthogonal_recurrent_(module)
    weights = [value for name, value in module.state_dict().items() if "weight_hh" in name]
    assert len(weights) == (1 if make in (LSTMCell, GRUCell) else 4)
    for weight in weights:
        for block in weight.chunk(len(module.spec.gates)):
            torch.testing.assert_close(block.T @ block, torch.eye(17), rtol=0, atol=1e-5)
    assert all(torch.equal(module.state_dict()[name], value) for name, value in untouched.items())


def test_projected_blocks_have_orthonormal_columns():
    layer = LSTM(3, 17, proj_size=5)
    orthogonal_recurrent_(layer)
    for block in layer.weight_hh_l0.detach().chunk(4):
        torch.testing.assert_close(block.T @ block, torch.eye(5), rtol=0, atol=1e-5)


@pytest.mark.parametrize("module", [LSTM(3, 5, 2, bidirectional=True), LSTMCell(3, 5)], ids=["layer", "cell"])
def test_the_forget_gate_starts_at_the_value_and_nothing_else_moves(module):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    forget_bias_(module, 1.5)
    for name, value in module.state_dict().items():
        if name.startswith("bias"):
            assert torch.equal(value[5:10], torch.full((5,), 1.5 if "ih" in name else 0.0))
            assert torch.equal(value[:5], before[name][:5])
            assert torch.equal(value[10:], before[name][10:])
        else:
            assert torch.equal(value, before[name])


def test_forget_bias_refusals():
    with pytest.raises(UsageError, match="module: GRU has no forget gate, wanted an LSTM"):
        forget_bias_(GRU(3, 5))
    with pytest.raises(UsageError, match="module: got one with bias=False, wanted a bias to set"):
        forget_bias_(LSTM(3, 5, bias=False))


def test_uniform_is_pytorchs_start():
    layer = LSTM(3, 25)
    torch.manual_seed(0)
    uniform_(layer)
    torch.manual_seed(0)
    other = torch.nn.LSTM(3, 25)
    assert all(torch.equal(one, two) for one, two in zip(layer.parameters(), other.parameters(), strict=True))
    assert all(float(one.abs().max()) <= 1 / 5 for one in layer.state_dict().values())
