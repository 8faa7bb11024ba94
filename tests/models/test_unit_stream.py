"""A language model read unit by unit gives the logits of calls of the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from seriatim.kernels import native
from seriatim.models import unit_stream
from seriatim.models.language import RecurrentLanguageModel
from seriatim.models.options import ModelOptions
from seriatim.models.unit_stream import UnitStream
from seriatim.ops.recurrence import using
from seriatim.options import fill

UNITS = 11

needs_engine = pytest.mark.skipif(not native.available(), reason="the engine was not built")

STREAMED: dict[str, dict[str, Any]] = {
    "rnn": {"model": "rnn"},
    "lstm": {"model": "lstm"},
    "gru": {"model": "gru"},
    "slstm": {"model": "slstm"},
    "gru reset before": {"model": "gru", "reset_gate": "before"},
    "coupled": {"model": "lstm", "coupled": True},
    "peephole": {"model": "lstm", "peephole": True},
    "projection": {"model": "lstm", "projection": 5},
    "layer norm": {"model": "lstm", "layer_norm": True},
    "gru with layer norm": {"model": "gru", "layer_norm": True},
    "layers": {"model": "rnn", "layers": 3, "layer_norm": True},
    "dropout": {"model": "lstm", "dropout": 0.5, "locked_dropout": 0.2},
}
CALLED: dict[str, dict[str, Any]] = {
    "mingru": {"model": "mingru"},
    "zoneout": {"model": "lstm", "zoneout": 0.1},
    "residual": {"model": "gru", "layers": 2, "residual": "residual"},
    "transformer": {"model": "transformer"},
}


def network(options: dict[str, Any], **more: Any) -> RecurrentLanguageModel:
    torch.manual_seed(0)
    return RecurrentLanguageModel(fill(ModelOptions, {"hidden": 16, **options}), UNITS, **{"tie": False, **more}).eval()


def assert_equal_to_calls(
    stream: UnitStream | None, model: RecurrentLanguageModel, units: list[int], carry: Any
) -> None:
    """The states are those of calls with one unit each, bit for bit.

    PyTorch may sum a product of a matrix and a vector in another order than a product of matrices, so the logits may
    differ by rounding: sums of 16 numbers below 1.
    """
    assert stream is not None
    for unit in units:
        logits = torch.from_numpy(stream.step(unit).copy())
        with torch.no_grad():
            states, carry = model.states(torch.tensor([[unit]]), carry)
            expected = model.logits(states)[0, 0]
        assert torch.equal(stream._layers.output, states)
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)


@needs_engine
@pytest.mark.parametrize("name", STREAMED)
def test_states_are_those_of_calls(name: str) -> None:
    model = network(STREAMED[name])
    units = torch.randint(UNITS, (40,)).tolist()
    for prompt in ([], [3, 1, 4]):
        carry: Any = ()
        if prompt:
            with torch.no_grad():
                carry = model(torch.tensor(prompt)[:, None], ())[1]
        before = [part.clone() for part in carry]
        assert_equal_to_calls(model.stream(carry), model, units, carry)
        assert all(map(torch.equal, carry, before))


@needs_engine
@pytest.mark.parametrize("tie", [False, True])
def test_float64(tie: bool) -> None:
    model = network({"model": "lstm", "layer_norm": True}, tie=tie).double()
    assert_equal_to_calls(model.stream(()), model, [1, 2, 1], ())


@needs_engine
def test_inputs_that_do_not_fit_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network({"model": "lstm", "layer_norm": True})
    monkeypatch.setattr(unit_stream, "KEPT", 2 * 4 * 16 * 4)  # two units
    stream = model.stream(())
    assert stream is not None
    computed: list[int] = []
    read = stream._read
    monkeypatch.setattr(stream, "_read", lambda unit: computed.append(unit) or read(unit))
    assert_equal_to_calls(stream, model, [1, 2, 3, 1, 2, 3], ())
    assert list(stream._inputs) == [1, 2] and computed == [1, 2, 3, 3]


@pytest.mark.parametrize("name", CALLED)
def test_other_networks_are_called(name: str) -> None:
    assert network(CALLED[name]).stream(()) is None


def test_adaptive_softmax_training_and_a_forced_implementation_are_called() -> None:
    options = fill(ModelOptions, {"model": "lstm"})
    assert RecurrentLanguageModel(options, 50, tie=False, adaptive=True).eval().stream(()) is None
    model = network({"model": "lstm"})
    with using("composed"):
        assert model.stream(()) is None
    assert model.train().stream(()) is None
