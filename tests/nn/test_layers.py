"""Refusals, locked dropout, repr, state_dict and forms of a call of the layers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from seriatim.errors import UsageError
from seriatim.nn import GRU, LSTM, RNN

X = torch.zeros(7, 4, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(0, 5), "input_size: got 0, wanted a whole number of at least 1"),
        (lambda: LSTM(3, 2.5), "hidden_size: got 2.5, wanted a whole number of at least 1"),
        (lambda: GRU(3, 5, 0), "num_layers: got 0, wanted a whole number of at least 1"),
        (lambda: GRU(3, 5, dropout=1.5), "dropout: got 1.5, wanted a number from 0 to 1"),
        (lambda: GRU(3, 5, locked_dropout=-0.1), "locked_dropout: got -0.1, wanted a number from 0 to 1"),
        (lambda: GRU(3, 5, recurrent_dropout=2), "recurrent_dropout: got 2, wanted a number from 0 to 1"),
        (lambda: LSTM(3, 5, zoneout=(0.5, 2)), "zoneout: got 2, wanted a number from 0 to 1"),
        (lambda: LSTM(3, 5, zoneout=(0.5,)), "zoneout: got 1 numbers, wanted one, or one for each of h, c"),
        (lambda: GRU(3, 5, zoneout=(0.5, 0.5)), "zoneout: got 2 numbers, wanted one, or one for each of h"),
        (lambda: LSTM(3, 5, peephole="yes"), "peephole: got 'yes', wanted True or False"),
        (lambda: RNN(3, 5, layer_norm=1), "layer_norm: got 1, wanted True or False"),
        (
            lambda: GRU(3, 5, reset_after=False, layer_norm=True),
            "layer_norm: not with reset_after=False, because the recurrent part is then two products",
        ),
        (lambda: RNN(3, 5, proj_size=5), "proj_size: got 5, wanted less than hidden_size 5"),
        (lambda: LSTM(3, 5, bias="no"), "bias: got 'no', wanted True or False"),
        (lambda: LSTM(3, 5, proj_size=5), "proj_size: got 5, wanted less than hidden_size 5"),
        (lambda: RNN(3, 5, nonlinearity="swish"), "activation: got 'swish', wanted tanh, relu or sigmoid"),
        (lambda: LSTM(3, 5)(torch.zeros(3)), "input: got [3], wanted [T, I] or [T, B, I]"),
        (lambda: LSTM(3, 5, batch_first=True)(torch.zeros(3)), "input: got [3], wanted [T, I] or [B, T, I]"),
        (lambda: LSTM(3, 5)([1.0]), "input: got list, wanted a tensor or a PackedSequence"),
        (lambda: LSTM(2, 5)(X), "input: got [7, 4, 3], wanted input_size 2 in the last axis"),
        (lambda: LSTM(3, 5)(X[:0]), "input: got [0, 4, 3], wanted at least one step"),
        (lambda: LSTM(3, 5)(X.double()), "input: got float64, wanted float32, as the weights are"),
        (lambda: GRU(3, 5)(X.to("meta")), "input: got a tensor on meta, wanted cpu, where the weights are"),
        (lambda: LSTM(3, 5)(X, torch.zeros(1, 4, 5)), "hx: got Tensor, wanted a tuple of tensors (h, c)"),
        (lambda: GRU(3, 5)(X, (X, X)), "hx: got tuple of 2, wanted one tensor h"),
        (lambda: GRU(3, 5)(X, torch.zeros(1, 3, 5)), "hx: h has shape [1, 3, 5], wanted [1, 4, 5]"),
        (
            lambda: LSTM(3, 5)(X, (torch.zeros(1, 4, 5),)),
            "hx: got tuple of 1, wanted a tuple of tensors (h, c)",
        ),
        (
            lambda: LSTM(3, 5, proj_size=2)(X, (torch.zeros(1, 4, 2), torch.zeros(1, 4, 2))),
            "hx: c has shape [1, 4, 2], wanted [1, 4, 5]",
        ),
        (
            lambda: GRU(3, 5)(X[:, 0], torch.zeros(1, 4, 5)),
            "hx: got [1, 4, 5], wanted [layers, size], since the input has no batch axis",
        ),
        (
            lambda: GRU(3, 5)(X, torch.zeros(1, 4, 5, dtype=torch.float64)),
            "hx: got float64, wanted float32, as the weights are",
        ),
        (
            lambda: GRU(3, 5)(pack_sequence([X[:, 0], X[:, 0]], enforce_sorted=False), torch.zeros(1, 4, 5)),
            "hx: got [1, 4, 5], wanted [layers, 2, size], since the input has 2 rows",
        ),
        (lambda: GRU(3, 5)(X, lengths=[7, 7]), "lengths: got shape [2], wanted [4], one per row of the batch"),
        (lambda: GRU(3, 5)(X, lengths=[7, 0, 1, 2]), "lengths: got 0 in row 1, wanted at least 1"),
        (lambda: GRU(3, 5)(X, lengths=[7, 1, 8, 2]), "lengths: got 8 in row 2, wanted at most 7 steps"),
        (lambda: GRU(3, 5)(X, lengths=[7.0, 1, 1, 2]), "lengths: got float32, wanted whole numbers"),
        (lambda: GRU(3, 5)(X, lengths="seven"), "lengths: got 'seven', wanted whole numbers"),
        (lambda: GRU(3, 5)(X[:, 0], lengths=[7]), "lengths: got lengths for one sequence [T, I], wanted a batch"),
        (lambda: GRU(3, 5)(X, reset=torch.zeros(7, 4)), "reset: got float32, wanted bool"),
        (lambda: GRU(3, 5)(X, reset="here"), "reset: got str, wanted booleans [T, B]"),
        (lambda: GRU(3, 5)(X, reset=X[:, :3, 0] > 0), "reset: got shape [7, 3], wanted [7, 4], [T, B]"),
        (
            lambda: GRU(7, 5, batch_first=True)(X.transpose(0, 2), reset=torch.ones(4, 3) > 0),
            "reset: got shape [4, 3], wanted [3, 4], [B, T]",
        ),
        (lambda: GRU(3, 5)(X[:, 0], reset=[True]), "reset: got shape [1], wanted [7], [T]"),
        (lambda: GRU(3, 5)(X, reverse=1), "reverse: got 1, wanted True or False"),
        (lambda: GRU(3, 5)(X, return_states=True), "return_states: got True, wanted None or 'all'"),
        (
            lambda: GRU(3, 5)(pack_sequence([X[:, 0]]), lengths=[7]),
            "lengths: got lengths with a PackedSequence, which has its own; wanted one of the two",
        ),
        (
            lambda: GRU(2, 5)(pack_sequence([X[:, 0]])),
            "input: got [7, 3], wanted input_size 2 in the last axis",
        ),
    ],
)  # fmt: skip
def test_refusals(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message


def test_lengths_may_be_of_any_integer_type():
    layer = GRU(3, 5)
    expected = layer(X, lengths=[7, 1, 2, 2])[0]
    for lengths in (torch.tensor([7, 1, 2, 2], dtype=torch.int32), torch.tensor([7, 1, 2, 2]), (7, 1, 2, 2)):
        assert torch.equal(layer(X, lengths=lengths)[0], expected)


def test_output_is_as_long_as_the_input_even_if_all_rows_are_shorter():
    output, _ = LSTM(3, 5, batch_first=True)(X.transpose(0, 1), lengths=[2, 1, 2, 2])
    assert output.shape == (4, 7, 5)
    assert output[:, 2:].count_nonzero() == 0


def test_locked_dropout_drops_the_same_units_at_every_step():
    """The upper layer passes its input on, so the output shows the mask: a unit is dropped at all steps or at none."""
    layer = RNN(1, 64, 2, nonlinearity="relu", bias=False, locked_dropout=0.5)
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            weight.zero_()
            if name == "weight_ih_l0":
                weight.fill_(1.0)
            if name == "weight_ih_l1":
                weight.copy_(torch.eye(64))
    output, _ = layer(torch.ones(9, 3, 1))
    assert set(output.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(output, output[:1].expand_as(output))
    assert not torch.equal(output[:, 0], output[:, 1])
    assert torch.equal(layer.eval()(torch.ones(9, 3, 1))[0], torch.ones(9, 3, 64))


def test_output_is_not_dropped():
    layer = RNN(1, 64, 1, nonlinearity="relu", dropout=0.9, locked_dropout=0.9)
    assert torch.equal(layer(torch.ones(3, 1, 1))[0], layer.eval()(torch.ones(3, 1, 1))[0])


def test_positional_arguments_are_in_pytorchs_order():
    layer = LSTM(3, 5, 2, False, True, 0.5, True, 2)
    flipped_states = torch.nn.LSTM(3, 5, 2, False, True, 0.5, True, 2)
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional",
                 "proj_size"):  # fmt: skip
        assert getattr(layer, name) == getattr(flipped_states, name)
    assert RNN(3, 5, 1, "relu").nonlinearity == "relu"


def test_methods_that_programs_for_pytorch_call():
    layer = LSTM(3, 5, 2, bidirectional=True)
    layer.flatten_parameters()
    layer.bfloat16().float()
    assert [[values.shape for values in group] for group in layer.all_weights] == [
        [values.shape for values in group] for group in torch.nn.LSTM(3, 5, 2, bidirectional=True).all_weights
    ]
    assert repr(LSTM(3, 5, 2, bias=False, locked_dropout=0.1)) == (
        "LSTM(3, 5, num_layers=2, bias=False, locked_dropout=0.1)"
    )
    assert repr(LSTM(3, 5, peephole=True, layer_norm=True, zoneout=(0.1, 0.5))) == (
        "LSTM(3, 5, peephole=True, layer_norm=True, zoneout=(0.1, 0.5))"
    )
    assert repr(GRU(3, 5, reset_after=False)) == "GRU(3, 5, reset_after=False)"
    assert torch.equal(copy.deepcopy(layer)(X)[0], layer(X)[0])


def test_functional_call_uses_its_weights():
    layer = GRU(3, 5)
    weights = {name: torch.zeros_like(value) for name, value in layer.state_dict().items()}
    output, _ = torch.func.functional_call(layer, weights, (torch.ones(4, 2, 3),))
    assert not output.any()


def test_parametrised_weight_is_used():
    """A parametrisation puts a computed weight in the place of a parameter."""

    class Zero(torch.nn.Module):
        def forward(self, weight):
            return weight * 0

    layer = GRU(3, 5)
    x = torch.randn(4, 2, 3)
    original = layer(x)[0]
    torch.nn.utils.parametrize.register_parametrization(layer, "weight_hh_l0", Zero())
    changed = layer(x)[0]
    assert torch.equal(original[0], changed[0])
    assert not torch.equal(original[1:], changed[1:])


def test_projected_layer_gives_no_warning():
    """Warnings are errors here; PyTorch's own layer warns, once per process, that oneDNN has no projection."""
    assert LSTM(3, 5, proj_size=2)(X)[0].shape == (7, 4, 2)


def test_inference_mode_records_no_graph():
    layer = LSTM(3, 5)
    with torch.inference_mode():
        output, _ = layer(X, lengths=[7, 1, 3, 3])
    assert not output.requires_grad


@pytest.mark.parametrize("make", [RNN, LSTM, GRU])
def test_state_dict_without_options_equals_pytorchs(make):
    theirs = getattr(torch.nn, make.__name__)(3, 5, 2, bidirectional=True).state_dict()
    shapes = {name: value.shape for name, value in make(3, 5, 2, bidirectional=True).state_dict().items()}
    assert list(shapes.items()) == [(name, value.shape) for name, value in theirs.items()]


def test_parameters_of_variants_come_last_and_have_their_first_values():
    layer = LSTM(3, 5, 2, bidirectional=True, proj_size=2, peephole=True, layer_norm=True)
    names = [name for name in layer.state_dict() if name.endswith("_l1_reverse")]
    assert [name.removesuffix("_l1_reverse") for name in names] == [
        "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_ch", "gain_ih", "gain_hh", "gain_c",
        "bias_c",
    ]  # fmt: skip
    assert layer.weight_ch_l0.shape == (3, 5)
    assert 0 < float(layer.weight_ch_l0.detach().abs().max()) <= 5**-0.5
    assert torch.equal(layer.gain_ih_l0, torch.ones(20))
    assert torch.equal(layer.gain_c_l0, torch.ones(5))
    assert torch.equal(layer.bias_c_l0, torch.zeros(5))
    bare = LSTM(3, 5, bias=False, layer_norm=True).state_dict()
    assert [name for name in bare if name.startswith("bias")] == ["bias_c_l0"]
    assert [name for name in GRU(3, 5, layer_norm=True).state_dict() if "gain" in name] == ["gain_ih_l0", "gain_hh_l0"]


def test_reset_and_returned_states_have_the_callers_axes():
    layer, flipped = LSTM(3, 5, 2), LSTM(3, 5, 2, batch_first=True)
    flipped.load_state_dict(layer.state_dict())
    x = torch.randn(7, 4, 3)
    reset = torch.rand(7, 4) < 0.3
    output, _, states = layer(x, reset=reset, return_states="all")
    flipped_output, _, flipped_states = flipped(x.transpose(0, 1), reset=reset.T.tolist(), return_states="all")
    torch.testing.assert_close(flipped_output.transpose(0, 1), output)
    assert {name: values.shape for name, values in flipped_states.items()} == dict.fromkeys("hcifgo", (2, 4, 7, 5))
    row_output, _, row_states = layer(x[:, 1], reset=reset[:, 1], return_states="all")
    torch.testing.assert_close(row_output, output[:, 1])
    for name, values in states.items():
        torch.testing.assert_close(flipped_states[name].transpose(1, 2), values)
        torch.testing.assert_close(row_states[name], values[:, :, 1])


def test_packed_batch_has_reset_and_states_in_the_callers_order():
    layer = GRU(3, 5, bidirectional=True)
    x, lengths = torch.randn(6, 3, 3), torch.tensor([2, 6, 4])
    reset = torch.rand(6, 3) < 0.4
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    output, h_n, states = layer(packed, reset=reset, return_states="all")
    expected, expected_h_n, expected_states = layer(x, lengths=lengths, reset=reset, return_states="all")
    torch.testing.assert_close(pad_packed_sequence(output)[0], expected)
    torch.testing.assert_close(h_n, expected_h_n)
    for name, values in expected_states.items():
        torch.testing.assert_close(states[name], values)


def test_masks_and_variants_in_bfloat16_autocast():
    layer = LSTM(3, 5, 2, bidirectional=True, peephole=True, layer_norm=True, recurrent_dropout=0.3, zoneout=0.2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = layer(torch.randn(4, 2, 3), lengths=[4, 2], reset=torch.rand(4, 2) < 0.5)
    output.float().sum().backward()
    assert all(torch.isfinite(values.grad).all() for values in layer.parameters())
