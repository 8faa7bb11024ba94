"""The engine under PyTorch's compilers, exporters and transforms.

The results are compared with eager calls, in float64 to 1e-12 (relative) unless a test says otherwise.
"""

from __future__ import annotations

import shutil

import pytest
import torch
import torch._inductor.config
from torch import func

from ops.layer_cases import CLOSE, gradients, sequences
from seriatim import nn
from seriatim.kernels import native as kernels
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import native, operators
from seriatim.ops.recurrence import using

pytestmark = pytest.mark.skipif(not kernels.available(), reason="the engine is not built")


def test_operators_have_second_derivatives(layer, monkeypatch):
    monkeypatch.setattr(native, "is_traced_or_transformed", lambda tensors: True)
    x = sequences(requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,), fast_mode=True)


def test_compiled_without_graph_break(layer):
    torch._dynamo.reset()
    x = sequences(requires_grad=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(gradients(compiled, x), gradients(layer, x), **CLOSE)


@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor compiles with g++, which is not here")
@pytest.mark.filterwarnings("ignore")  # warnings of PyTorch's compiler itself
@torch._inductor.config.patch({"cpp.vec_isa_ok": False, "cpp_cache_precompile_headers": False})  # compiles sooner
def test_compiled_by_inductor():
    torch._dynamo.reset()
    torch.manual_seed(5)
    model, x = torch.nn.Sequential(torch.nn.Linear(3, 3), nn.GRU(3, 4)).double(), sequences()

    def gradients(run):
        return torch.autograd.grad(run(x)[0].sin().sum(), list(model.parameters()))

    torch.testing.assert_close(gradients(torch.compile(model, fullgraph=True)), gradients(model), **CLOSE)


def test_compiled_with_lengths():
    torch._dynamo.reset()
    layer, x = nn.GRU(3, 4, dtype=torch.float64), sequences(requires_grad=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    lengths = torch.tensor([5, 2])
    torch.testing.assert_close(gradients(compiled, x, lengths=lengths), gradients(layer, x, lengths=lengths), **CLOSE)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # PyTorch's own
@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
def test_compiled_cells(name):
    torch._dynamo.reset()
    cell, x = getattr(nn, name)(3, 4, dtype=torch.float64), sequences()
    cell(x[0])  # the cell has a cache when it is compiled

    def gradients(cell):
        state = cell(x[1], cell(x[0]))
        return torch.autograd.grad((state[0] if isinstance(state, tuple) else state).sum(), list(cell.parameters()))

    compiled = torch.compile(cell, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(gradients(compiled), gradients(cell), **CLOSE)


def test_exported(layer):
    x = sequences()
    program = torch.export.export(layer, (x,))
    assert any("seriatim.recurrence" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x)[0], layer(x)[0], **CLOSE)


def test_operators_pass_opcheck():
    """PyTorch checks schema, fake kernel and autograd registration."""
    x, h, w_ih, w_hh = sequences(), sequences(2, 4), sequences(12, 3), sequences(12, 4)
    inputs = [tensor.requires_grad_() for tensor in (x, h, w_ih, w_hh)]
    absent = (None for _ in range(len(operators.ARGUMENTS) - 5))
    arguments = (inputs[0], inputs[1], None, *inputs[2:], *absent, "gru", "tanh", True, False, False, False, True)
    assert len(arguments) == len(operators.ARGUMENTS) + 7
    torch.library.opcheck(torch.ops.seriatim.recurrence.default, arguments)


def test_vmap_and_gradients_per_sample(layer):
    samples, parameters = sequences(4, 5, 2, 3), {name: tensor.detach() for name, tensor in layer.named_parameters()}
    torch.testing.assert_close(
        func.vmap(lambda x: layer(x)[0])(samples), torch.stack([layer(x)[0] for x in samples]), **CLOSE
    )
    per_sample = func.vmap(
        func.grad(lambda weights, x: func.functional_call(layer, weights, (x,))[0].square().sum()), (None, 0)
    )
    actual = per_sample(parameters, samples)
    for k, x in enumerate(samples):
        expected = torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters()))
        torch.testing.assert_close([tensor[k] for tensor in actual.values()], list(expected), **CLOSE)
    stacked = {name: torch.stack([tensor, tensor * 2]) for name, tensor in parameters.items()}
    by_weights = func.vmap(lambda weights: func.functional_call(layer, weights, (samples[0],))[0])(stacked)
    torch.testing.assert_close(by_weights[0], layer(samples[0])[0], **CLOSE)


def test_vmap_with_broadcast_masks():
    layer, samples = nn.GRU(3, 4, dtype=torch.float64), sequences(4, 5, 2, 3)
    w = (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    walk = Walk(torch.tensor([5, 2]), True, zoneout=(torch.full((1, 1, 4), 0.5, dtype=torch.float64),))

    def call(x):
        return native.run(layer.spec, x, (x.new_zeros(2, 4),), Weights(*w), walk)[0]

    torch.testing.assert_close(func.vmap(call)(samples), torch.stack([call(x) for x in samples]), **CLOSE)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # PyTorch's own call
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_forward_mode(name):
    """PyTorch's LSTM has no forward mode on the CPU, so its row is not chosen either."""
    layer, x = getattr(nn, name)(3, 4, dtype=torch.float64), sequences(3, 1, 3)

    def call(x):
        return layer(x)[0].square().sum()

    actual = func.jvp(call, (x,), (torch.ones_like(x),))[1]
    torch.testing.assert_close(actual, func.grad(call)(x).sum(), **CLOSE)
    torch.testing.assert_close(func.hessian(call)(x), func.jacrev(func.grad(call))(x), rtol=1e-10, atol=1e-10)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # PyTorch's own call
def test_second_order_of_torch_func(layer):
    x = sequences(3, 1, 3)
    actual = func.jacrev(func.grad(lambda x: layer(x)[0].square().sum()))(x)
    with using("composed"):
        expected = func.hessian(lambda x: layer(x)[0].square().sum())(x)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
