"""Constructors show their real arguments, in PyTorch's order, and accept no others."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import torch

from seriatim import nn
from seriatim.errors import UsageError

NORM = {"layer_norm": False, "clip": 0.0}
MASKS = {"locked_dropout": 0.0, "recurrent_dropout": 0.0, "zoneout": 0.0, "weight_drop": 0.0}
MODERN_LAYER = {
    "num_layers": 1, "bias": None, "batch_first": False, "dropout": 0.0, "bidirectional": False, "device": None,
    "dtype": None, "*": None, "proj_size": 0, **MASKS,
}  # fmt: skip
MODERN_CELL = {"bias": None, "device": None, "dtype": None, "*": None, "proj_size": 0}
ARGUMENTS = {
    "RNN": {
        "num_layers": 1, "nonlinearity": "tanh", "bias": True, "batch_first": False, "dropout": 0.0,
        "bidirectional": False, "device": None, "dtype": None, "*": None, "proj_size": 0, **NORM, **MASKS,
    },
    "GRU": {
        "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False, "device": None,
        "dtype": None, "*": None, "proj_size": 0, "reset_after": True, **NORM, **MASKS,
    },
    "LSTM": {
        "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False, "proj_size": 0,
        "device": None, "dtype": None, "*": None, "peephole": False, "coupled": False, **NORM,
        **MASKS,
    },
    "RNNCell": {
        "bias": True, "nonlinearity": "tanh", "device": None, "dtype": None, "*": None, "proj_size": 0, **NORM,
    },
    "GRUCell": {"bias": True, "device": None, "dtype": None, "*": None, "proj_size": 0, "reset_after": True, **NORM},
    "LSTMCell": {
        "bias": True, "device": None, "dtype": None, "*": None, "proj_size": 0, "peephole": False, "coupled": False,
        **NORM,
    },
    **dict.fromkeys(["MinGRU", "MinLSTM", "LRU", "SLSTM"], MODERN_LAYER),
    **dict.fromkeys(["MinGRUCell", "MinLSTMCell", "LRUCell", "SLSTMCell"], MODERN_CELL),
}  # fmt: skip
"""Arguments after ``input_size`` and ``hidden_size`` with their defaults; those after the star are keyword-only."""


@pytest.mark.parametrize("name", ARGUMENTS)
def test_signature_shows_all_arguments(name):
    positional, keyword = ["self", "input_size", "hidden_size"], []
    names = positional
    for argument in ARGUMENTS[name]:
        if argument == "*":
            names = keyword
        else:
            names.append(argument)
    constructor = getattr(nn, name)
    for callable, skipped in ((constructor, 1), (constructor.__init__, 0)):
        parameters = inspect.signature(callable).parameters.values()
        assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == positional[skipped:]
        assert [p.name for p in parameters if p.kind is p.KEYWORD_ONLY] == keyword
        assert len(parameters) == len(positional[skipped:]) + len(keyword)
        defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        assert defaults == {key: value for key, value in ARGUMENTS[name].items() if key != "*"}


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell"])
def test_pytorchs_arguments_are_at_pytorchs_positions(name):
    """PyTorch's signatures of layers are (*args, **kwargs), so its layers are built by position and compared.

    Its ``RNN`` and ``GRU`` take device and dtype by keyword only, whatever their type stubs say.
    """
    shared = list(ARGUMENTS[name])[: list(ARGUMENTS[name]).index("device")]
    values = {
        "num_layers": 2, "nonlinearity": "relu", "bias": False, "batch_first": True, "dropout": 0.25,
        "bidirectional": True, "proj_size": 2,
    }  # fmt: skip
    arguments = (3, 4, *(values[argument] for argument in shared))
    ours, theirs = (getattr(package, name)(*arguments, dtype=torch.float64) for package in (nn, torch.nn))
    for argument in shared:
        assert getattr(ours, argument) == getattr(theirs, argument) == values[argument]
    assert {key: (value.shape, value.dtype) for key, value in ours.state_dict().items()} == {
        key: (value.shape, value.dtype) for key, value in theirs.state_dict().items()
    }


@pytest.mark.parametrize("name", ARGUMENTS)
def test_unknown_argument_is_refused(name):
    with pytest.raises(TypeError, match="hidden"):
        getattr(nn, name)(3, 4, hidden=5)
    with pytest.raises(TypeError, match="hidden_size"):
        getattr(nn, name)(3)


def test_bias_of_none_is_for_modern_layers_only():
    assert nn.MinGRU(3, 4, bias=None).bias is True
    assert nn.LRU(3, 4).bias is False
    with pytest.raises(UsageError, match="bias: got None, wanted True or False"):
        nn.LSTM(3, 4, bias=None)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_subclass_may_call_the_constructor(name):
    base = getattr(nn, name)

    class Named(base):
        def __init__(self, width):
            super().__init__(3, width)
            self.label = "x"

    module = Named(4)
    assert (module.hidden_size, module.label) == (4, "x")
    assert list(module.state_dict()) == list(base(3, 4).state_dict())


@pytest.mark.parametrize("name", ARGUMENTS)
def test_copies_are_equal(name):
    module = getattr(nn, name)(3, 4)
    x = torch.randn(5, 2, 3) if "Cell" not in name else torch.randn(2, 3)
    for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(copied) == repr(module)
        first, second = (result[0] if isinstance(result, tuple) else result for result in (copied(x), module(x)))
        assert torch.equal(first, second)
