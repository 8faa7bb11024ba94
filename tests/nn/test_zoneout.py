"""The masks of zoneout and recurrent dropout. The laws test their effect."""

from __future__ import annotations

import pytest
import torch

from seriatim.nn import GRU, LSTM, RNN
from seriatim.nn.dropout import recurrent_mask
from seriatim.nn.zoneout import zoneout_masks
from seriatim.ops.recurrence import using

H = torch.zeros(3, 500)


def test_recurrent_mask_has_one_draw_per_row_and_mean_one():
    torch.manual_seed(0)
    mask = recurrent_mask(H, 0.2, training=True)
    assert set(mask.unique().tolist()) == {0.0, 1.25}
    assert mask.shape == H.shape
    assert abs(float(mask.mean()) - 1) < 0.05  # 1500 draws of deviation 0.5: 0.013
    assert not torch.equal(mask[0], mask[1])
    assert recurrent_mask(H, 0.2, training=False) is None
    assert recurrent_mask(H, 0.0, training=True) is None


def test_zoneout_masks_are_draws_in_training_and_means_in_evaluation():
    torch.manual_seed(0)
    of_h, of_c = zoneout_masks((H, H.double()), 7, (0.3, 0.1), training=True)
    assert (of_h.shape, of_c.shape) == ((7, 3, 500), (7, 3, 500))
    assert of_h.dtype is of_c.dtype is torch.bool
    assert abs(float(of_h.double().mean()) - 0.3) < 0.02  # 10500 draws of deviation 0.46: 0.0045
    assert abs(float(of_c.double().mean()) - 0.1) < 0.02
    after_h, after_c = zoneout_masks((H, H), 7, (0.3, 0.0), training=False)
    assert after_c is None
    assert torch.equal(after_h, torch.full((1, 1, 500), 0.3))
    assert zoneout_masks((H, H), 7, (0.0, 0.0), training=True) == ()


def test_layers_and_directions_have_different_masks():
    """Each unit computes h' = x + d ⊙ h: a dropped unit stays at x = 1, the others become 1, 3, 7."""
    layer = RNN(1, 64, 2, nonlinearity="relu", bias=False, bidirectional=True, recurrent_dropout=0.5)
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            weight.zero_()
            if "weight_hh" in name:
                weight.copy_(torch.eye(64))
            elif "_l0" in name:
                weight.fill_(1.0)
            else:
                weight[:, :64] = torch.eye(64) / 64
    torch.manual_seed(0)
    _, _, states = layer(torch.ones(3, 2, 1), return_states="all")
    first_layer = states["h"][:2]
    assert set(first_layer[0, -1].unique().tolist()) == {1.0, 7.0}
    dropped = [first_layer[0, -1] == 1, first_layer[1, 0] == 1]
    dropped += [states["h"][2, -1] == states["h"][0, -1] / 64, states["h"][3, 0] == states["h"][0, 0] / 64]
    flat = [first.flatten().tolist() for first in dropped]
    assert all(first != second for index, first in enumerate(flat) for second in flat[:index])


def test_evaluation_draws_no_mask():
    x = torch.randn(5, 2, 3)
    for layer in (GRU(3, 4, 2, zoneout=0.5, recurrent_dropout=0.5), LSTM(3, 4, zoneout=(0.5, 0.1))):
        assert not torch.equal(layer(x)[0], layer(x)[0])
        layer.eval()
        assert torch.equal(layer(x)[0], layer(x)[0])
        plain = type(layer)(3, 4, layer.num_layers).eval()
        plain.load_state_dict(layer.state_dict())
        assert not torch.allclose(layer(x)[0], plain(x)[0])  # zoneout applies its mean, recurrent dropout nothing


def test_recurrent_dropout_has_no_effect_in_evaluation():
    x = torch.randn(5, 2, 3)
    layer = GRU(3, 4, 2, recurrent_dropout=0.5).eval()
    plain = GRU(3, 4, 2).eval()
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x)[0], plain(x)[0])


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_equal_those_of_plain_steps(nonlinearity, training):
    """An RNN saves h alone for backward: where zoneout keeps a unit, its candidate gets no gradient."""
    layer = RNN(3, 17, nonlinearity=nonlinearity, zoneout=0.4, dtype=torch.float64).train(training)
    x = torch.randn(6, 5, 3, dtype=torch.float64, requires_grad=True)

    def gradients():
        torch.manual_seed(2)
        output, h_n = layer(x, torch.ones(1, 5, 17, dtype=torch.float64))
        return torch.autograd.grad(output.sin().sum() + h_n.square().sum(), [x, *layer.parameters()])

    expected = gradients()
    with using("composed"):
        torch.testing.assert_close(expected, gradients(), rtol=1e-12, atol=1e-12)
