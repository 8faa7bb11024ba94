"""Weight drop (Merity 2018): in training, dropout on the weights between h and h, once per call."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import dropout

from seriatim.errors import UsageError
from seriatim.nn import GRU, LSTM, RNN, SLSTM, MinGRU

CLASSES = pytest.mark.parametrize("make", [RNN, LSTM, GRU, SLSTM])
X = torch.randn(7, 4, 3)


def output(layer, x=X, **options):
    return layer(x, **options)[0]


@CLASSES
def test_layer_without_drop_or_in_evaluation_equals_plain_layer(make):
    plain, without_drop, with_drop = make(3, 5), make(3, 5, weight_drop=0.0), make(3, 5, weight_drop=0.5).eval()
    for layer in (without_drop, with_drop):
        layer.load_state_dict(plain.state_dict())
        assert torch.equal(output(layer), output(plain))


@CLASSES
def test_layer_in_training_equals_layer_with_dropped_weights(make):
    layer, thin = make(3, 5, weight_drop=0.5), make(3, 5)
    thin.load_state_dict(layer.state_dict())
    torch.manual_seed(3)
    result = output(layer)
    torch.manual_seed(3)
    with torch.no_grad():
        thin.weight_hh_l0.copy_(dropout(thin.weight_hh_l0, 0.5))
    torch.testing.assert_close(result, output(thin))
    gradient, is_kept = torch.autograd.grad(result.sum(), layer.weight_hh_l0)[0], thin.weight_hh_l0 != 0
    assert not gradient[~is_kept].any() and gradient[is_kept].any()
    expected_gradient = torch.autograd.grad(output(thin).sum(), thin.weight_hh_l0)[0]
    torch.testing.assert_close(gradient, expected_gradient * is_kept * 2)


def test_mask_is_shared_by_rows_and_steps_and_new_in_each_call():
    layer = LSTM(3, 5, weight_drop=0.5)
    repeated = X[:, :1].expand(-1, 4, -1)
    first = output(layer, repeated)
    torch.testing.assert_close(first[:, 0], first[:, 3])
    assert not torch.equal(first, output(layer, repeated))


def test_all_layers_and_directions_are_dropped():
    layer = GRU(3, 5, 2, bidirectional=True, weight_drop=1.0)
    expected = output(layer)
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if name.startswith("weight_hh"):
                weight.zero_()
    torch.testing.assert_close(output(layer.eval()), expected)


def test_optimizer_step_between_calls_is_noticed():
    """The engine keeps packed weights; the mask of each call must apply to the current ones."""
    layer, plain = LSTM(3, 5, weight_drop=0.3), LSTM(3, 5)
    for _ in range(3):
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
        output(layer).square().sum().backward()
        optimizer.step()
        plain.load_state_dict(layer.state_dict())
        assert torch.equal(output(layer.eval()), output(plain))
        layer.train()


def test_refusals():
    with pytest.raises(UsageError, match="weight_drop: got 2, wanted a number from 0 to 1"):
        LSTM(3, 5, weight_drop=2)
    with pytest.raises(UsageError, match="weight_drop: not for mingru, whose h enters no product"):
        MinGRU(3, 5, weight_drop=0.1)
