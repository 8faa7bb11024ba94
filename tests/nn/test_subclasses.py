"""Subclasses of users that extend ``forward`` call ours by ``super().forward``, and compute what they computed."""

from __future__ import annotations

import copy
import pickle
from abc import ABC, abstractmethod

import pytest
import torch
from torch import nn
from torch.nn.utils import rnn

import seriatim
from seriatim.ops.eager_cells import EagerCell
from seriatim.ops.eager_layers import EagerStack


class WithEmpty(ABC, nn.RNNBase):
    """Takes rows of length 0, whose state is the initial one, as some libraries for forecasts do."""

    @abstractmethod
    def initial(self, x): ...

    def forward(self, x, hx=None, lengths=None):
        if lengths is None:
            return super().forward(x, hx=hx)
        if lengths.max() == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), self.initial(x)
        packed = rnn.pack_padded_sequence(x, lengths.clamp(min=1), batch_first=True, enforce_sorted=False)
        output, state = super().forward(packed, hx=hx)
        is_empty = (lengths == 0)[None, :, None]
        first = self.initial(x)
        if isinstance(state, tuple):
            state = tuple(torch.where(is_empty, old, new) for old, new in zip(first, state, strict=True))
        else:
            state = torch.where(is_empty, first, state)
        return rnn.pad_packed_sequence(output, batch_first=True)[0], state


class EmptyLSTM(WithEmpty, nn.LSTM):
    def initial(self, x):
        zeros = x.new_zeros(self.num_layers, len(x), self.hidden_size)
        return zeros, zeros


class EmptyGRU(WithEmpty, nn.GRU):
    def initial(self, x):
        return x.new_zeros(self.num_layers, len(x), self.hidden_size)


class Clamped(nn.GRUCell):
    def __init__(self, size):
        super().__init__(size, size)
        self.limit = 0.1

    def forward(self, x, h=None):
        return super().forward(x, h).clamp(-self.limit, self.limit)


CASES = [
    (lambda: EmptyLSTM(3, 4, 2, batch_first=True), (torch.tensor([3, 0, 5]),), EagerStack),
    (lambda: EmptyGRU(3, 4, batch_first=True), (torch.tensor([3, 0, 5]),), EagerStack),
    (lambda: EmptyGRU(3, 4, batch_first=True), (), EagerStack),
    (lambda: Clamped(3), None, EagerCell),
]


def results(module, lengths):
    """Outputs, states, and the gradients of the parameters."""
    torch.manual_seed(0)
    values = module(torch.randn(2, 3)) if lengths is None else module(torch.randn(3, 5, 3), None, *lengths)
    tensors = [value for part in (values if isinstance(values, tuple) else (values,))
               for value in (part if isinstance(part, tuple) else (part,))]  # fmt: skip
    grads = torch.autograd.grad(sum(tensor.square().sum() for tensor in tensors), list(module.parameters()))
    return tensors, grads


@pytest.mark.parametrize(("make", "lengths", "path"), CASES)
def test_subclass_computes_the_same(make, lengths, path, monkeypatch):
    model = nn.Sequential(make())
    module, cls, parameters = model[0], type(model[0]), dict(model.named_parameters())
    expected, keys = results(module, lengths), vars(module).keys() | set()
    report = seriatim.accelerate(model)
    assert (list(report.changed), report.left) == (["0"], {})
    assert isinstance(model[0], cls) and dict(model.named_parameters()) == parameters
    calls, name = [], "run" if path is EagerStack else "step"
    fast = getattr(path, name)
    monkeypatch.setattr(path, name, lambda *args: calls.append(1) or fast(*args))
    torch.testing.assert_close(results(model[0], lengths), expected)
    assert calls
    for other in (copy.deepcopy(model[0]), pickle.loads(pickle.dumps(model[0]))):
        assert type(other) is type(model[0])
        torch.testing.assert_close(results(other, lengths), expected)
    assert seriatim.accelerate(model).changed == {}
    assert list(seriatim.restore(model).changed) == ["0"]
    assert type(model[0]) is cls and vars(model[0]).keys() == keys
    torch.testing.assert_close(results(model[0], lengths), expected, rtol=0, atol=0)


def test_attribute_that_ours_need_is_left():
    class Named(nn.GRU):
        def __init__(self):
            super().__init__(2, 3)
            self.output_size = 7

    report = seriatim.accelerate(nn.Sequential(Named()))
    assert report.left == {"0": "Named is a subclass of GRU with its own output_size"}


@pytest.mark.parametrize("name", ["permute_hidden", "run", "__call__", "weight_hh_l0"])
def test_subclass_that_overrides_more_is_left(name):
    subclass = type("Other", (nn.GRU,), {name: lambda self, *args: None} if name != "weight_hh_l0" else {})
    layer = subclass(2, 3)
    if name == "weight_hh_l0":
        del layer.weight_hh_l0
        layer.weight_hh_l0 = torch.zeros(9, 3)
    assert list(seriatim.accelerate(nn.Sequential(layer)).left) == ["0"]
