"""Impossible cell specs are refused, with the name of the argument."""

from __future__ import annotations

import pytest

from seriatim.errors import UsageError
from seriatim.spec import CellSpec


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("gur", {}, "kind: no cell 'gur' (did you mean 'gru'?)"),
        ("lstm", {"activation": "relu"}, "activation: 'relu' is for rnn, not lstm"),
        ("lstm", {"reset_after": False}, "reset_after: only gru has a reset gate, lstm has none"),
        ("rnn", {"peephole": True}, "peephole: only for lstm, not for rnn"),
        (
            "mingru",
            {"proj_size": 2},
            "proj_size: not for mingru, whose h enters no product; add a Linear after the layer",
        ),
        (
            "gru",
            {"proj_size": 2, "reset_after": False},
            "proj_size: not with reset_after=False, because r is wider than a projected h",
        ),
        ("lru", {"clip": 1.0}, "clip: only for rnn, lstm and gru, not for lru"),
        ("gru", {"clip": -1.0}, "clip: got -1.0, wanted a number of at least 0"),
        ("rnn", {"proj_size": 5}, "proj_size: got 5, wanted less than hidden_size 5"),
    ],
)
def test_refusals(kind, options, message):
    with pytest.raises(UsageError) as caught:
        CellSpec(kind, 3, 5, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "names"), [("rnn", ()), ("lstm", ("c", "i", "f", "g", "o")), ("gru", ("r", "z", "n"))]
)
def test_traced_states_and_gates(kind, names):
    assert CellSpec(kind, 3, 5).traced == names


def test_projected_gru_carries_its_unprojected_state():
    spec = CellSpec("gru", 3, 5, proj_size=2)
    assert {name: spec.state_size(name) for name in spec.states} == {"h": 2, "c": 5}
