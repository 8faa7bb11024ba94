"""What cannot be a cell is refused where it is named."""

from __future__ import annotations

import pytest

from seriatim.errors import UsageError
from seriatim.spec import CellSpec


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("gur", {}, "kind: no cell 'gur' (did you mean 'gru'?)"),
        ("lstm", {"activation": "relu"}, "activation: 'relu' is for rnn, not lstm"),
        ("lstm", {"reset_after": False}, "reset_after: for gru, not lstm"),
        ("rnn", {"peephole": True}, "peephole: for lstm, not rnn"),
        (
            "gru",
            {"proj_size": 2},
            "proj_size: for rnn and lstm, not gru, which keeps a share of h as wide as its gates",
        ),
        ("rnn", {"proj_size": 5}, "proj_size: got 5, wanted less than hidden_size 5"),
    ],
)
def test_refusals(kind, options, message):
    with pytest.raises(UsageError) as caught:
        CellSpec(kind, 3, 5, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(("kind", "told"), [("rnn", ()), ("lstm", ("c", "i", "f", "g", "o")), ("gru", ("r", "z", "n"))])
def test_what_is_told_beside_h(kind, told):
    assert CellSpec(kind, 3, 5).traced == told
