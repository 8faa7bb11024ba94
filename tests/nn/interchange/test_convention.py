"""The table of gate orders, and the two meanings of z."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn import GRU, LSTM, GRUCell
from seriatim.nn.interchange import convert_z, table
from seriatim.nn.interchange.convention import CONVENTIONS, PEEPHOLES, reordered
from seriatim.notation import GATES, STATES

DOCUMENT = Path(__file__).parents[3] / "docs" / "interchange.md"


def test_the_documentation_has_the_table():
    """If not: python -c "from seriatim.nn.interchange import table; print(table())" prints it."""
    assert table() in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("framework", CONVENTIONS)
def test_every_framework_has_the_gates_and_states_of_notation(framework):
    for kind, one in CONVENTIONS[framework].items():
        assert sorted(one.gates) == sorted(GATES[kind])
        assert sorted(one.states) == sorted(STATES[kind])
        assert len(one.letters.split()) == len(one.gates)
        assert sorted(one.peepholes) in ([], sorted(PEEPHOLES))


def test_ours_is_notations():
    assert {kind: one.gates for kind, one in CONVENTIONS["Seriatim"].items()} == {
        kind: GATES[kind] for kind in ("rnn", "lstm", "gru")
    }


def test_blocks_change_places_and_come_back():
    rows = np.arange(8).reshape(8, 1)
    there = reordered(rows, ("i", "f", "g", "o"), ("i", "o", "f", "g"))
    assert there.ravel().tolist() == [0, 1, 6, 7, 2, 3, 4, 5]
    assert np.array_equal(reordered(there, ("i", "o", "f", "g"), ("i", "f", "g", "o")), rows)


def how_much_new(weights, x, reset_after):
    """The GRU of the text where z is "how much new", in plain NumPy: x [T, B, I] → h at each step [T, B, H]."""
    w, r, b, s = (weights[name].numpy() for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    (wr, wz, wn), (rr, rz, rn), (br, bz, bn), (sr, sz, sn) = (np.split(one, 3) for one in (w, r, b, s))
    h, every = np.zeros((x.shape[1], len(rr))), []
    for step in x:
        reset = sigmoid(step @ wr.T + br + h @ rr.T + sr)
        new = sigmoid(step @ wz.T + bz + h @ rz.T + sz)
        inner = reset * (h @ rn.T + sn) if reset_after else (reset * h) @ rn.T + sn
        h = (1 - new) * h + new * np.tanh(step @ wn.T + bn + inner)
        every.append(h)
    return np.stack(every)


@pytest.mark.parametrize("reset_after", [True, False])
def test_both_meanings_of_z_are_one_model(reset_after):
    torch.manual_seed(2)
    gru = GRU(3, 5, reset_after=reset_after, dtype=torch.float64)
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    wanted = how_much_new(gru.state_dict(), x.numpy(), reset_after)
    found = convert_z(gru)(x)[0].detach().numpy()
    assert np.abs(found - wanted).max() < 1e-14
    assert np.abs(gru(x)[0].detach().numpy() - wanted).max() > 0.01, "the two meanings differ"


@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True}, {"layer_norm": True}], ids=str
)
def test_converting_twice_changes_nothing_and_once_turns_z_over(options):
    torch.manual_seed(3)
    gru = GRU(3, 4, dtype=torch.float64, **options)
    before = {name: one.clone() for name, one in gru.state_dict().items()}
    converted = convert_z(gru)
    assert all(torch.equal(one, gru.state_dict()[name]) for name, one in before.items()), "the original stays"
    twice = convert_z(converted).state_dict()
    assert all(torch.equal(one, twice[name]) for name, one in before.items())
    x = torch.randn(1, 2, 3, dtype=torch.float64)
    *_, mine = gru(x, return_states="all")
    *_, theirs = converted(x, return_states="all")
    assert torch.allclose(mine["z"][0], 1 - theirs["z"][0], rtol=0, atol=1e-15)


def test_cells_convert_as_layers_do():
    cell = GRUCell(2, 3)
    converted = convert_z(cell)
    assert isinstance(converted, GRUCell)
    assert torch.equal(converted.weight_ih[3:6], -cell.weight_ih[3:6])
    assert torch.equal(converted.weight_ih[:3], cell.weight_ih[:3])


def test_only_a_gru_has_a_z():
    with pytest.raises(UsageError, match="gru: got LSTM, wanted a GRU"):
        convert_z(LSTM(2, 3))
