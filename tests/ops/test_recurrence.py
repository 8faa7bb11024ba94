"""How an implementation is chosen."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn import GRU, RNN
from seriatim.ops.recurrence import IMPLEMENTATIONS, VARIABLE, chosen, using
from seriatim.spec import CellSpec

LSTM = CellSpec("lstm", 3, 5)
PROJECTED = CellSpec("lstm", 3, 5, proj_size=2)
SIGMOID = CellSpec("rnn", 3, 5, activation="sigmoid")


@pytest.mark.parametrize(
    ("spec", "layer", "one_step"),
    [(LSTM, "pytorch", "pytorch"), (PROJECTED, "pytorch", "composed"), (SIGMOID, "composed", "composed")],
    ids=["lstm", "projected", "sigmoid"],
)
def test_the_first_that_fits_is_taken(spec, layer, one_step):
    assert chosen(spec).name == layer
    assert chosen(spec, one_step=True).name == one_step


def test_the_last_fits_everything():
    for spec in (LSTM, PROJECTED, SIGMOID):
        assert IMPLEMENTATIONS[-1].fits(spec)
        assert IMPLEMENTATIONS[-1].fits_step(spec)


def test_a_block_can_force_one():
    with using("composed"):
        assert chosen(LSTM).name == "composed"
        with using("pytorch"):
            assert chosen(LSTM).name == "pytorch"
        assert chosen(LSTM).name == "composed"
    assert chosen(LSTM).name == "pytorch"


def test_the_environment_can_force_one(monkeypatch):
    monkeypatch.setenv(VARIABLE, "composed")
    assert chosen(LSTM).name == "composed"
    with using("pytorch"):
        assert chosen(LSTM).name == "pytorch"


def test_what_does_not_exist_or_does_not_fit_is_refused(monkeypatch):
    with pytest.raises(UsageError, match=r"no implementation 'pytorhc' \(did you mean 'pytorch'\?\)"), using("pytorhc"):
        pass
    with using("pytorch"), pytest.raises(UsageError, match=r"'pytorch' does not run CellSpec\(kind='rnn'"):
        RNN(3, 5, nonlinearity="sigmoid")(torch.zeros(4, 2, 3))
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(UsageError, match=f"{VARIABLE}: no implementation 'fast'"):
        GRU(3, 5)(torch.zeros(4, 2, 3))
