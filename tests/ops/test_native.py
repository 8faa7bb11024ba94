"""The engine under autograd: second derivatives, live graphs, changed weights, threads and processes.

The numbers themselves are tested in ``tests/kernels/test_native.py`` and by the laws. Here they are compared with the
composed steps, in float64 to 1e-12 (relative) unless a test says otherwise.
"""

from __future__ import annotations

import copy
import os
import threading

import pytest
import torch
import torch._inductor.config

from ops.layer_cases import CLOSE, gradients, loss, sequences
from seriatim import nn
from seriatim.kernels import native as kernels
from seriatim.ops.recurrence import chosen, using
from seriatim.spec import CellSpec

pytestmark = pytest.mark.skipif(not kernels.available(), reason="the engine is not built")


def test_engine_runs_the_layer(layer):
    assert chosen(layer.spec, sequences()).name == ("eager" if layer.spec == CellSpec("rnn", 3, 4) else "native")


def test_second_derivatives(layer):
    x = sequences(requires_grad=True)
    first = torch.autograd.grad(loss(layer, x), [x, *layer.parameters()], create_graph=True)
    second = torch.autograd.grad(sum(tensor.square().sum() for tensor in first), [x, *layer.parameters()])
    with using("composed"):
        plain = torch.autograd.grad(loss(layer, x), [x, *layer.parameters()], create_graph=True)
        expected = torch.autograd.grad(sum(tensor.square().sum() for tensor in plain), [x, *layer.parameters()])
    torch.testing.assert_close(second, expected, **CLOSE)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,), fast_mode=True)


@pytest.mark.parametrize("frozen", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0"])
def test_frozen_weight_gets_no_gradient(layer, frozen):
    x = sequences(requires_grad=True)
    expected = dict(zip(["x", *dict(layer.named_parameters())], gradients(layer, x), strict=True))
    getattr(layer, frozen).requires_grad_(False)
    loss(layer, x).backward()
    assert getattr(layer, frozen).grad is None
    for name, weight in layer.named_parameters():
        if name != frozen:
            torch.testing.assert_close(weight.grad, expected[name], **CLOSE)
    layer.requires_grad_(False)
    (grad_x,) = torch.autograd.grad(loss(layer, x), [x])
    torch.testing.assert_close(grad_x, expected["x"], **CLOSE)


def test_two_live_graphs_and_a_second_backward(layer):
    x, y = sequences(requires_grad=True), sequences(5, 2, 3, requires_grad=True)
    expected = gradients(layer, x)
    first, second = loss(layer, x), loss(layer, y * 2)
    arguments = [x, *layer.parameters()]
    first_result = torch.autograd.grad(first, arguments, retain_graph=True)
    torch.autograd.grad(second, [y])
    second_result = torch.autograd.grad(first, arguments)
    for actual in (first_result, second_result):
        assert all(torch.equal(tensor, value) for tensor, value in zip(actual, expected, strict=True))


def test_weights_changed_before_backward_are_refused(layer):
    result = loss(layer, sequences())
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


def test_concurrent_threads(layer):
    x = sequences(requires_grad=True)
    expected, results = gradients(layer, x), {}

    def work(k):
        results[k] = [gradients(layer, x) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for actual in (thread for each in results.values() for thread in each):
        assert all(torch.equal(tensor, value) for tensor, value in zip(actual, expected, strict=True))
    assert len(results) == 4


def test_one_step_in_training(layer):
    kind = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell, "slstm": nn.SLSTMCell}[layer.spec.kind]
    cell, x = kind(3, 4, dtype=torch.float64), sequences(2, 3, requires_grad=True)

    def first(x):
        actual = cell(x)
        return actual[0] if isinstance(actual, tuple) else actual

    arguments = [x, *cell.parameters()]
    actual = torch.autograd.grad(first(x).square().sum(), arguments)
    with using("composed"):
        torch.testing.assert_close(actual, torch.autograd.grad(first(x).square().sum(), arguments), **CLOSE)


def test_copies_and_replicas(layer):
    x = sequences()
    replica = layer._replicate_for_data_parallel()
    for name, weight in layer._parameters.items():
        setattr(replica, name, weight * 1)  # as DataParallel does: plain tensors that have a history
    actual = torch.autograd.grad(loss(replica, x), list(layer.parameters()))
    torch.testing.assert_close(actual, torch.autograd.grad(loss(layer, x), list(layer.parameters())), **CLOSE)
    assert torch.equal(copy.deepcopy(layer)(x)[0], layer(x)[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork_after_use():
    layer, x = nn.GRU(3, 4), torch.randn(5, 2, 3)
    expected = layer(x)[0].detach()
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(layer(x)[0].detach(), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
