"""Strided inputs, expanded states, lists and single rows take the eager path, with PyTorch's results and gradients.

Compared with the layers and cells of ``torch.nn`` in float64 to 1e-12 (relative).
"""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from seriatim import nn
from seriatim.kernels import native
from seriatim.nn import recurrent_cell
from seriatim.nn.recurrent import RecurrentLayer

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
B, T, WIDTH, H = 3, 5, 4, 6

CELL_INPUTS = {
    "x[:, t]": lambda x: x[:, 1],
    "unbind": lambda x: x.unbind(1)[2],
    "half of the features": lambda x: torch.cat([x, x], dim=-1)[:, 1, 1 : WIDTH + 1],
    "features first": lambda x: x.transpose(1, 2).contiguous()[:, :, 1],
    "expanded": lambda x: x[:1, 1].expand(B, WIDTH),
    "every second row": lambda x: torch.cat([x, x])[::2, 1],
    "one row": lambda x: x[0, 1],
    "one strided row": lambda x: x.transpose(1, 2).contiguous()[0, :, 1],
}
CELL_STATES = {
    "none": lambda h: None,
    "contiguous": lambda h: h,
    "expanded": lambda h: h[:1].expand_as(h),
    "transposed": lambda h: h.t().contiguous().t(),
    "columns": lambda h: torch.cat([h, h], dim=1)[:, 1 : H + 1],
}
LAYER_INPUTS = {
    "batch first": (True, lambda x: x),
    "after a convolution": (True, lambda x: x.transpose(1, 2).contiguous().transpose(1, 2)),
    "permuted": (False, lambda x: x.transpose(1, 2).contiguous().permute(2, 0, 1)),
    "half of the features": (True, lambda x: torch.cat([x, x], dim=-1)[..., 1 : WIDTH + 1]),
    "expanded": (True, lambda x: x[:1].expand(B, T, WIDTH)),
    "one sequence": (True, lambda x: x[0].t().contiguous().t()),
}


def pair(name, **options):
    torch.manual_seed(1)
    plain = getattr(torch.nn, name)(WIDTH, H, dtype=torch.float64, **options)
    ours = getattr(nn, name)(WIDTH, H, dtype=torch.float64, **options)
    ours.load_state_dict(plain.state_dict())
    return ours, plain


@pytest.fixture
def only_eager(monkeypatch):
    """Fails a call that leaves the eager path."""

    def refuse(*arguments, **options):
        raise AssertionError("the call has left the eager path")

    monkeypatch.setattr(recurrent_cell, "step", refuse)
    monkeypatch.setattr(RecurrentLayer, "run_in_layout", refuse)


def tensors():
    torch.manual_seed(2)
    return [torch.randn(B, T, WIDTH, dtype=torch.float64, requires_grad=True)] + [
        torch.randn(B, H, dtype=torch.float64, requires_grad=True) for _ in range(2)
    ]


def flat(outcome):
    """The tensors of a result, in order."""
    if isinstance(outcome, torch.Tensor):
        return [outcome]
    if isinstance(outcome, PackedSequence):
        return [outcome.data]
    return [tensor for part in outcome for tensor in flat(part)]


def compare(ours, plain, call):
    """Compare results and gradients of ``call(module, *tensors)``."""
    results = []
    for module in (ours, plain):
        leaves = tensors()
        outcome = flat(call(module, *leaves))
        loss = sum((tensor * torch.linspace(1, 2, tensor.numel()).view(tensor.shape)).sum() for tensor in outcome)
        grads = torch.autograd.grad(loss, [*leaves, *module.parameters()], allow_unused=True)
        with torch.no_grad():
            inferred = flat(call(module, *leaves))
        results.append((outcome, inferred, grads))
    torch.testing.assert_close(*results, **CLOSE)


@pytest.mark.parametrize("state_form", CELL_STATES)
@pytest.mark.parametrize("input_form", CELL_INPUTS)
@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
def test_cells(name, input_form, state_form, only_eager):
    def call(module, x, h, c):
        x = CELL_INPUTS[input_form](x)
        states = [CELL_STATES[state_form](part) for part in (h, c)]
        if states[0] is None:
            return module(x)
        if x.dim() == 1:
            states = [part[1] for part in states]
        return module(x, tuple(states) if name == "LSTMCell" else states[0])

    compare(*pair(name), call)


@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
def test_loop_over_a_batch_first_sequence(name, only_eager):
    def call(module, x, h, c):
        state = [h, c] if name == "LSTMCell" else h
        outputs = []
        for t in range(x.shape[1]):
            state = module(x[:, t], state)
            outputs.append(state[0] if name == "LSTMCell" else state)
            state = list(state) if name == "LSTMCell" else state
        return torch.stack(outputs, dim=1)

    compare(*pair(name), call)


@pytest.mark.parametrize("form", LAYER_INPUTS)
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("state_form", ["none", "expanded", "transposed", "list"])
def test_layers(name, form, state_form, only_eager):
    batch_first, change = LAYER_INPUTS[form]

    def call(module, x, h, c):
        x = change(x)
        if state_form == "none":
            return module(x)
        states = [part[None] if x.dim() == 3 else part[:1] for part in (h, c)]
        if state_form == "expanded":
            states = [part[:, :1].expand_as(part) for part in states]
        elif state_form == "transposed":
            states = [part.transpose(0, -1).contiguous().transpose(0, -1) for part in states]
        if name != "LSTM":
            return module(x, states[0])
        if state_form == "list" and isinstance(module, RecurrentLayer):
            return module(x, states)
        return module(x, tuple(states))

    compare(*pair(name, batch_first=batch_first), call)


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_packed_rows_with_strides(name, only_eager):
    def call(module, x, h, c):
        packed = pack_padded_sequence(x, [5, 3, 2], batch_first=True)
        return module(packed._replace(data=packed.data.t().contiguous().t()))

    compare(*pair(name), call)
