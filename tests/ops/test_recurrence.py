"""The choice of an implementation."""

from __future__ import annotations

import pytest
import torch

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.ops import eager
from seriatim.ops.recurrence import IMPLEMENTATIONS, VARIABLE, Walk, chosen, chosen_step, using
from seriatim.spec import CellSpec

X = torch.zeros(4, 2, 3)
HALF = X.half()
"""The engine does not take this dtype, so a later row of the table is chosen."""
LSTM = CellSpec("lstm", 3, 5)
PROJECTED = CellSpec("lstm", 3, 5, proj_size=2)
SIGMOID = CellSpec("rnn", 3, 5, activation="sigmoid")


@pytest.mark.parametrize(
    ("spec", "layer", "one_step"),
    [(LSTM, "pytorch", "pytorch"), (PROJECTED, "pytorch", "composed"), (SIGMOID, "composed", "composed")],
    ids=["lstm", "projected", "sigmoid"],
)
def test_first_fitting_row_is_chosen(spec, layer, one_step):
    assert chosen(spec, HALF).name == layer
    assert chosen_step(spec, HALF[0]).name == one_step


def test_engine_rows_come_first():
    pytest.importorskip("seriatim.kernels._native")
    for spec, name in ((LSTM, "eager"), (PROJECTED, "native"), (SIGMOID, "eager")):
        assert chosen(spec, X).name == chosen_step(spec, X[0]).name == name
        assert chosen(spec, X, Walk(reverse=True)).name == "native"
        assert chosen(spec, X, with_states=True).name == "native"
        assert chosen(spec, X, WALKS[0], with_states=True).name == "native"
        assert chosen(spec, X.bfloat16()).name == chosen_step(spec, X[0].bfloat16()).name == "native"
        with torch.autocast("cpu", torch.bfloat16):
            assert chosen(spec, X).name == chosen_step(spec, X[0]).name == "native"


def test_projected_gru_is_folded_if_large():
    pytest.importorskip("seriatim.kernels._native")
    spec = CellSpec("gru", 3, 5, proj_size=2)
    reset, zoneout = Walk(reset=torch.zeros(4, 2, dtype=torch.bool)), Walk(zoneout=(None, torch.zeros(1, 1, 5)))
    assert chosen(spec, X).name == chosen(spec, X, reset).name == "folded"
    assert chosen(spec, X[:2]).name == chosen(spec, X, zoneout).name == chosen(spec, HALF).name == "composed"
    assert chosen(CellSpec("gru", 3, 5), X).name == "eager"


def test_last_row_fits_everything():
    for spec in (LSTM, PROJECTED, SIGMOID):
        assert IMPLEMENTATIONS[-1].fits(spec, X, Walk())
        assert IMPLEMENTATIONS[-1].fits_step(spec, X[0])


PLAIN_WALKS = [Walk(), Walk(torch.tensor([4, 1])), Walk(reverse=True), Walk(zoneout=(None, None))]
WALKS = [
    Walk(reset=torch.zeros(4, 2, dtype=torch.bool)),
    Walk(dropout=torch.ones(2, 5)),
    Walk(zoneout=(None, torch.zeros(1, 1, 5))),
]


def test_pytorch_row_takes_plain_cells_and_walks():
    with using("pytorch"):
        for walk in PLAIN_WALKS:
            assert chosen(LSTM, X, walk).name == "pytorch"
        for walk in WALKS:
            with pytest.raises(UsageError, match="'pytorch' does not run CellSpec"):
                chosen(LSTM, X, walk)
    for variant in (
        CellSpec("lstm", 3, 5, peephole=True),
        CellSpec("gru", 3, 5, layer_norm=True),
        CellSpec("gru", 3, 5, reset_after=False),
        CellSpec("rnn", 3, 5, proj_size=2),
    ):
        with using("pytorch"), pytest.raises(UsageError, match="does not run"):
            chosen(variant, X)
        with using("pytorch"), pytest.raises(UsageError, match="does not run one step of"):
            chosen_step(variant, X[0])


def test_error_lists_the_options():
    with using("pytorch"):
        with pytest.raises(UsageError, match=r"with reset, return_states$"):
            chosen(LSTM, X, WALKS[0], with_states=True)
        with pytest.raises(UsageError, match=r"with return_states$"):
            nn.LSTM(3, 5)(X, return_states="all")


def test_block_forces_a_row():
    with using("composed"):
        assert chosen(LSTM, HALF).name == "composed"
        with using("pytorch"):
            assert chosen(LSTM, HALF).name == "pytorch"
        assert chosen(LSTM, HALF).name == "composed"
    assert chosen(LSTM, HALF).name == "pytorch"


def test_environment_forces_a_row(monkeypatch):
    monkeypatch.setattr(eager, "process_choice", "composed")
    assert chosen(LSTM, X).name == "composed"
    with using("pytorch"):
        assert chosen(LSTM, X).name == "pytorch"


def test_unknown_or_unfit_row_is_refused(monkeypatch):
    with pytest.raises(UsageError, match=r"no implementation 'pytorhc' \(did you mean 'pytorch'\?\)"), using("pytorhc"):
        pass
    with using("pytorch"), pytest.raises(UsageError, match=r"'pytorch' does not run CellSpec\(kind='rnn'"):
        nn.RNN(3, 5, nonlinearity="sigmoid")(torch.zeros(4, 2, 3))
    monkeypatch.setattr(eager, "process_choice", "fast")
    with pytest.raises(UsageError, match=f"{VARIABLE}: no implementation 'fast'"):
        nn.GRU(3, 5)(torch.zeros(4, 2, 3))
