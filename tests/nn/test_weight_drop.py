"""Weight drop (Merity 2018): in training the weights between h and h are thinned, once per call."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import dropout

from seriatim.errors import UsageError
from seriatim.nn import GRU, LSTM, RNN, SLSTM, MinGRU

CLASSES = pytest.mark.parametrize("make", [RNN, LSTM, GRU, SLSTM])
X = torch.randn(7, 4, 3)


def output(layer, x=X, **asks):
    return layer(x, **asks)[0]


@CLASSES
def test_none_dropped_or_not_in_training_is_the_plain_layer(make):
    plain, none, some = make(3, 5), make(3, 5, weight_drop=0.0), make(3, 5, weight_drop=0.5).eval()
    for layer in (none, some):
        layer.load_state_dict(plain.state_dict())
        assert torch.equal(output(layer), output(plain))


@CLASSES
def test_in_training_it_is_a_layer_with_thinned_weights(make):
    layer, thin = make(3, 5, weight_drop=0.5), make(3, 5)
    thin.load_state_dict(layer.state_dict())
    torch.manual_seed(3)
    found = output(layer)
    torch.manual_seed(3)
    with torch.no_grad():
        thin.weight_hh_l0.copy_(dropout(thin.weight_hh_l0, 0.5))
    torch.testing.assert_close(found, output(thin))
    gradient, kept = torch.autograd.grad(found.sum(), layer.weight_hh_l0)[0], thin.weight_hh_l0 != 0
    assert not gradient[~kept].any() and gradient[kept].any()
    by_hand = torch.autograd.grad(output(thin).sum(), thin.weight_hh_l0)[0]
    torch.testing.assert_close(gradient, by_hand * kept * 2)


def test_one_mask_for_all_rows_and_steps_and_another_for_each_call():
    layer = LSTM(3, 5, weight_drop=0.5)
    same = X[:, :1].expand(-1, 4, -1)
    first = output(layer, same)
    torch.testing.assert_close(first[:, 0], first[:, 3])
    assert not torch.equal(first, output(layer, same))


def test_both_layers_and_directions_are_thinned():
    layer = GRU(3, 5, 2, bidirectional=True, weight_drop=1.0)
    before = output(layer)
    with torch.no_grad():
        for name, one in layer.named_parameters():
            if name.startswith("weight_hh"):
                one.zero_()
    torch.testing.assert_close(output(layer.eval()), before)


def test_an_optimizer_step_in_between_is_seen():
    """The engine keeps weights packed; what is thinned anew at each call must never be an old one."""
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
