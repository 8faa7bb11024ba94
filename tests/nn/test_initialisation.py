"""Initialisations: the drawn values, the weights that they leave alone, and refusals."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.models.options import INITIALISATIONS
from seriatim.nn import GRU, LSTM, RNN, GRUCell, LSTMCell
from seriatim.nn.initialisation import (
    RECURRENT,
    chrono_,
    forget_bias_,
    gate_,
    identity_recurrent_,
    normal_,
    orthogonal_recurrent_,
    uniform_,
)
from seriatim.nn.registry import CELLS, LAYERS


def test_table_has_all_options():
    assert set(RECURRENT) == set(INITIALISATIONS)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU, LSTMCell, GRUCell])
def test_blocks_are_orthogonal(make):
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
def test_forget_bias_changes_only_the_forget_gate(module):
    original = {name: value.clone() for name, value in module.state_dict().items()}
    forget_bias_(module, 1.5)
    for name, value in module.state_dict().items():
        if name.startswith("bias"):
            assert torch.equal(value[5:10], torch.full((5,), 1.5 if "ih" in name else 0.0))
            assert torch.equal(value[:5], original[name][:5])
            assert torch.equal(value[10:], original[name][10:])
        else:
            assert torch.equal(value, original[name])


def test_forget_bias_refusals():
    with pytest.raises(UsageError, match="module: GRU has no forget gate, wanted an LSTM"):
        forget_bias_(GRU(3, 5))
    with pytest.raises(UsageError, match="module: got one with bias=False, wanted a bias to set"):
        forget_bias_(LSTM(3, 5, bias=False))


@pytest.mark.parametrize("make", [RNN, LSTM, GRU, LSTMCell, GRUCell])
def test_normal_has_the_deviation_of_the_column_count(make):
    module = make(16, 100)
    torch.manual_seed(0)
    normal_(module)
    for name, value in module.state_dict().items():
        if name.startswith("bias"):
            assert not value.any()
        else:
            assert float(value.std()) == pytest.approx(0.25 if "ih" in name else 0.1, rel=0.05)


def test_uniform_equals_pytorchs_default():
    layer = LSTM(3, 25)
    torch.manual_seed(0)
    uniform_(layer)
    torch.manual_seed(0)
    reference = torch.nn.LSTM(3, 25)
    assert all(
        torch.equal(weight, reference_weight)
        for weight, reference_weight in zip(layer.parameters(), reference.parameters(), strict=True)
    )
    assert all(float(weight.abs().max()) <= 1 / 5 for weight in layer.state_dict().values())


@pytest.mark.parametrize("make", [LSTM, GRU, LSTMCell, GRUCell])
def test_chrono_retention_times_reach_the_horizon(make):
    """A gate with bias b remembers for σ(b)/(1 - σ(b)) = e^b steps: between 1 and T - 1."""
    module = make(3, 500)
    chrono_(module, 41)
    for bias_ih, bias_hh in zip(
        (weight for name, weight in module.named_parameters() if name.startswith("bias_ih")),
        (weight for name, weight in module.named_parameters() if name.startswith("bias_hh")),
        strict=True,
    ):
        blocks = dict(zip(module.spec.gates, bias_ih.detach().chunk(len(module.spec.gates)), strict=True))
        retention_bias = blocks["f"] if "f" in blocks else blocks["z"]
        assert 1 <= retention_bias.exp().min() < 2 and 39 < retention_bias.exp().max() <= 40
        assert retention_bias.exp().mean().item() == pytest.approx(20.5, abs=2)  # uniform in the steps, not in the bias
        if "f" in blocks:
            assert torch.equal(blocks["i"], -retention_bias)
        of_state = dict(zip(module.spec.gates, bias_hh.detach().chunk(len(module.spec.gates)), strict=True))
        assert not of_state["f" if "f" in blocks else "z"].any()


def test_chrono_refusals():
    with pytest.raises(UsageError, match="module: RNN has no gate that keeps, wanted an LSTM or a GRU"):
        chrono_(RNN(2, 3), 10)
    with pytest.raises(UsageError, match="wanted a bias to set"):
        chrono_(GRU(2, 3, bias=False), 10)
    with pytest.raises(UsageError, match="horizon: got 2, wanted at least 3 steps"):
        chrono_(GRU(2, 3), 2)


@pytest.mark.parametrize("make", [*LAYERS.values(), *CELLS.values()])
def test_same_seed_gives_same_weights(make):
    draws = []
    for _ in range(2):
        torch.manual_seed(7)
        module = make(3, 5)
        first = [weight.clone() for weight in module.parameters()]
        torch.manual_seed(7)
        module.reset_parameters()
        assert all(torch.equal(weight, reference) for weight, reference in zip(first, module.parameters(), strict=True))
        draws.append(first)
    assert all(torch.equal(weight, reference) for weight, reference in zip(*draws, strict=True))
    module.reset_parameters()
    assert not all(
        torch.equal(weight, reference) for weight, reference in zip(draws[0], module.parameters(), strict=True)
    )


def test_relu_rnn_with_identity_keeps_its_state():
    layer = RNN(3, 5, 2, nonlinearity="relu", bidirectional=True)
    identity_recurrent_(layer)
    for block in (layer.weight_hh_l0, layer.weight_hh_l1_reverse):
        assert torch.equal(block.detach(), torch.eye(5))
    weight = RNN(3, 5, nonlinearity="relu")
    identity_recurrent_(weight)
    h = torch.rand(1, 2, 5)
    torch.testing.assert_close(weight(torch.zeros(100, 2, 3), h)[1], h)
    with pytest.raises(UsageError, match="module: got one with a projected h, wanted square recurrent weights"):
        identity_recurrent_(RNN(3, 5, proj_size=2))


@pytest.mark.parametrize("name", ["lstm", "gru", "minlstm", "mingru"])
def test_chrono_keeps_for_about_its_horizon(name):
    """With inputs of zero and no part of h, a unit keeps u / (1 + u) of its state, u from U(1, horizon - 1)."""
    layer = LAYERS[name](3, 200, dtype=torch.float64)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    chrono_(layer, 50)
    states = tuple(torch.ones(1, 1, 200, dtype=torch.float64) for _ in layer.spec.states)
    final = layer(torch.zeros(1, 1, 3, dtype=torch.float64), states if len(states) > 1 else states[0])[1]
    last = final[-1] if isinstance(final, tuple) else final
    new = 0.5 if name.startswith("min") else 0.0  # g(0) = 1/2; tanh(0) = 0
    retention_bias = (last - new) / (1 - new)
    u = retention_bias / (1 - retention_bias)
    assert 1 <= u.min() < 5 and 45 < u.max() <= 49 + 1e-9


def test_gate_changes_one_gate_alone():
    layer = LSTM(3, 5, 2)
    original = {name: value.clone() for name, value in layer.state_dict().items()}
    gate_(layer, "g", weight_hh=torch.nn.init.eye_, bias=0.25)
    for name, value in layer.state_dict().items():
        changed = (value != original[name]).flatten(1).any(1) if value.dim() > 1 else value != original[name]
        assert changed.nonzero().flatten().tolist() == ([] if "weight_ih" in name else [10, 11, 12, 13, 14])
    assert torch.equal(layer.weight_hh_l1.detach()[10:15], torch.eye(5))
    assert (layer.bias_ih_l0[10:15] == 0.25).all() and not layer.bias_hh_l0[10:15].any()
    with pytest.raises(UsageError, match="gate: LSTM has i, f, g, o, not 'z'"):
        gate_(layer, "z", bias=1.0)
    with pytest.raises(UsageError, match="weight_hh: MinGRU has none"):
        gate_(LAYERS["mingru"](3, 5), "z", weight_hh=torch.nn.init.eye_)
