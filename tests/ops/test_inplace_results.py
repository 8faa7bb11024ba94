"""Results that are changed in place train wherever PyTorch's layers and cells train, with the same gradients.

Compared with ``torch.nn`` in float64 to 1e-12 (relative).
"""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint

from seriatim import nn
from seriatim.kernels import native
from seriatim.ops.recurrence import using

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def pair(name, **options):
    torch.manual_seed(1)
    plain = getattr(torch.nn, name)(4, 4, dtype=torch.float64, **options)
    ours = getattr(nn, name)(4, 4, dtype=torch.float64, **options)
    ours.load_state_dict(plain.state_dict())
    return ours, plain


def zero_first(y):
    y[:, 0] = 0


CHANGES = {
    "add": lambda y: y.add_(1),
    "multiply": lambda y: y.mul_(2),
    "relu": torch.nn.ReLU(inplace=True),
    "assign": zero_first,
    "fill": lambda y: y.fill_(3),
}


def gradients(module, loss, x):
    return torch.autograd.grad(loss(module, x), [x, *module.parameters()], allow_unused=True)


def compare(ours, plain, loss):
    """Compare gradients; the loss of both is that of ``loss(module, x)``."""
    torch.manual_seed(2)
    x = torch.randn(5, 2, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(gradients(ours, loss, x), gradients(plain, loss, x), **CLOSE)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True}])
@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_outputs_of_layers(name, options, change):
    def loss(module, x):
        y, h_n = module(x)
        CHANGES[change](y)
        return y.square().sum() + h_n.sum()

    compare(*pair(name, **options), loss)


@pytest.mark.parametrize("change", CHANGES)
def test_output_of_an_lstm(change):
    """PyTorch's LSTM cannot train here; ours is compared with a changed copy."""
    ours, _ = pair("LSTM")

    def loss(clones):
        def call(module, x):
            y = module(x)[0]
            y = y.clone() if clones else y
            CHANGES[change](y)
            return y.square().sum()

        return call

    x = torch.randn(5, 2, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(gradients(ours, loss(False), x), gradients(ours, loss(True), x), **CLOSE)


@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_final_state_and_packed_output(name):
    def loss(module, x):
        y, h_n = module(pack_padded_sequence(x, [5, 3]))
        y.data.mul_(2)
        h_n.mul_(3)
        return y.data.square().sum() + h_n.square().sum()

    compare(*pair(name), loss)


@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_second_backward_and_second_derivative(name):
    def loss(module, x):
        y = module(x)[0]
        y.mul_(2)
        total = y.square().sum()
        first = torch.autograd.grad(total, [x, *module.parameters()], retain_graph=True)
        second = torch.autograd.grad(total, [x, *module.parameters()], create_graph=True)
        return sum(grad.square().sum() for grad in (*first, *second))

    compare(*pair(name), loss)


@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_under_checkpoints_and_hooks(name):
    def changed(module, x):
        y = module(x)[0]
        y.mul_(2)
        return y.square().sum()

    compare(*pair(name), lambda module, x: checkpoint(changed, module, x, use_reentrant=False))
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor):
        compare(*pair(name), changed)


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"recurrent_dropout": 0.5}, {"zoneout": 0.5}])
def test_variants(options):
    torch.manual_seed(1)
    layer = nn.GRU(4, 4, dtype=torch.float64, **options)
    x = torch.randn(5, 2, 4, dtype=torch.float64, requires_grad=True)

    def loss(module, x, clones=False):
        torch.manual_seed(3)
        y = module(x)[0]
        y = y.clone() if clones else y
        y.mul_(2)
        return y.square().sum()

    with using("native"):
        actual = gradients(layer, loss, x)
    torch.testing.assert_close(actual, gradients(layer, lambda module, x: loss(module, x, True), x), **CLOSE)


@pytest.mark.parametrize("name", ["GRUCell", "LSTMCell"])
def test_states_of_cells(name):
    """Programs for reinforcement learning reset the state of finished rows so."""
    mask = torch.tensor([[1.0], [0.0]], dtype=torch.float64)

    def loss(module, x):
        state, total = None, 0
        for index, step in enumerate(x):
            state = module(step, state)
            for part in state if isinstance(state, tuple) else (state,):
                total = total + (index + 1) * part.sum()
                part *= mask
        return total

    compare(*pair(name), loss)


@pytest.mark.parametrize("library", [torch.nn, nn])
def test_state_of_an_rnn_cell_is_refused_as_by_pytorch(library):
    cell = library.RNNCell(4, 4)
    h = cell(torch.randn(2, 4))
    h *= 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()


def test_memory_is_free_after_backward():
    layer = nn.GRU(4, 4)
    y, _ = layer(torch.randn(5, 2, 4))
    y.sum().backward(retain_graph=True)
    assert y.grad_fn.output is not None
    y.sum().backward()
    assert y.grad_fn.output is None
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()
