"""The table of gate orders, and the two meanings of z."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seriatim.errors import UsageError
from seriatim.layouts.convention import CONVENTIONS, PEEPHOLES, reordered
from seriatim.nn import GRU, LSTM, GRUCell
from seriatim.nn.interchange import convert_z, table
from seriatim.notation import GATES, STATES

DOCUMENT = Path(__file__).parents[3] / "docs" / "interchange.md"


def test_documentation_has_the_table():
    """To update the page: python -c "from seriatim.nn.interchange import table; print(table())"."""
    assert table() in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("framework", CONVENTIONS)
def test_frameworks_have_the_gates_and_states_of_notation(framework):
    for kind, convention in CONVENTIONS[framework].items():
        assert sorted(convention.gates) == sorted(GATES[kind])
        assert sorted(convention.states) == sorted(STATES[kind])
        assert len(convention.letters.split()) == len(convention.gates)
        assert sorted(convention.peepholes) in ([], sorted(PEEPHOLES))


def test_seriatims_order_is_the_order_of_notation():
    assert {kind: convention.gates for kind, convention in CONVENTIONS["Seriatim"].items()} == {
        kind: GATES[kind] for kind in ("rnn", "lstm", "gru")
    }


def test_reordered_blocks_can_be_restored():
    rows = np.arange(8).reshape(8, 1)
    there = reordered(rows, ("i", "f", "g", "o"), ("i", "o", "f", "g"))
    assert there.ravel().tolist() == [0, 1, 6, 7, 2, 3, 4, 5]
    assert np.array_equal(reordered(there, ("i", "o", "f", "g"), ("i", "f", "g", "o")), rows)


def gru_with_z_of_new_value(weights, x, reset_after):
    """A GRU whose z is the share of the new value, in plain NumPy: x [T, B, I] → h at each step [T, B, H]."""
    w, r, b, s = (weights[name].numpy() for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    (wr, wz, wn), (rr, rz, rn), (br, bz, bn), (sr, sz, sn) = (np.split(convention, 3) for convention in (w, r, b, s))
    h, outputs = np.zeros((x.shape[1], len(rr))), []
    for step in x:
        reset = sigmoid(step @ wr.T + br + h @ rr.T + sr)
        new = sigmoid(step @ wz.T + bz + h @ rz.T + sz)
        inner = reset * (h @ rn.T + sn) if reset_after else (reset * h) @ rn.T + sn
        h = (1 - new) * h + new * np.tanh(step @ wn.T + bn + inner)
        outputs.append(h)
    return np.stack(outputs)


@pytest.mark.parametrize("reset_after", [True, False])
def test_converted_gru_computes_the_other_meaning_of_z(reset_after):
    torch.manual_seed(2)
    gru = GRU(3, 5, reset_after=reset_after, dtype=torch.float64)
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    expected = gru_with_z_of_new_value(gru.state_dict(), x.numpy(), reset_after)
    result = convert_z(gru)(x)[0].detach().numpy()
    assert np.abs(result - expected).max() < 1e-14
    assert np.abs(gru(x)[0].detach().numpy() - expected).max() > 0.01, "the two meanings differ"


@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True}, {"layer_norm": True}], ids=str
)
def test_converting_once_gives_one_minus_z_and_twice_the_original(options):
    torch.manual_seed(3)
    gru = GRU(3, 4, dtype=torch.float64, **options)
    original = {name: convention.clone() for name, convention in gru.state_dict().items()}
    converted = convert_z(gru)
    assert all(torch.equal(convention, gru.state_dict()[name]) for name, convention in original.items()), (
        "the original stays"
    )
    twice = convert_z(converted).state_dict()
    assert all(torch.equal(convention, twice[name]) for name, convention in original.items())
    x = torch.randn(1, 2, 3, dtype=torch.float64)
    *_, our_states = gru(x, return_states="all")
    *_, converted_states = converted(x, return_states="all")
    assert torch.allclose(our_states["z"][0], 1 - converted_states["z"][0], rtol=0, atol=1e-15)


def test_cells_convert_like_layers():
    cell = GRUCell(2, 3)
    converted = convert_z(cell)
    assert isinstance(converted, GRUCell)
    assert torch.equal(converted.weight_ih[3:6], -cell.weight_ih[3:6])
    assert torch.equal(converted.weight_ih[:3], cell.weight_ih[:3])


def test_other_modules_are_refused():
    with pytest.raises(UsageError, match="gru: got LSTM, wanted a GRU"):
        convert_z(LSTM(2, 3))
