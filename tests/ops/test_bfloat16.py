"""Inference and training in bfloat16 and under autocast."""

from __future__ import annotations

import pytest
import torch
import torch._inductor.config

from seriatim import nn
from seriatim.kernels import native as kernels
from seriatim.ops import eager_layers, native

pytestmark = pytest.mark.skipif(not kernels.available(), reason="the engine is not built")


@pytest.fixture(params=[None, "amx-software"])
def products(request, monkeypatch):
    """Run with this processor's bfloat16 products, and with matrix tiles in software."""
    if request.param:
        monkeypatch.setenv("SERIATIM_TARGET", request.param)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"])
@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_error_is_at_most_pytorchs(name, autocast):
    """Compare the RMS error against float64, of the output and of all gradients, with PyTorch's; and compare dtypes.

    Where the processor has no bfloat16 arithmetic, PyTorch's LSTM refuses to run under autocast. Our layer runs there:
    its relative RMS error is then below 2⁻⁷, the distance between neighbouring bfloat16 numbers, and its output is
    bfloat16 with float32 gradients, as PyTorch's LSTM gives elsewhere.
    """
    torch.manual_seed(1)
    exact = getattr(torch.nn, name)(16, 24).double()
    shape = (2, 16) if "Cell" in name else (9, 2, 16)
    x, factors = torch.randn(shape, dtype=torch.float64), torch.randn(*shape[:-1], 24)
    errors, dtypes = [], []

    def distance(actual, expected):
        errors_of_values = [
            value.detach().double() - expected_value.detach()
            for value, expected_value in zip(actual, expected, strict=True)
        ]
        return float(torch.cat([value.flatten() for value in errors_of_values]).norm())

    def run(module, x):
        output = module(x)
        output = output[0] if isinstance(output, tuple) else output
        return [output, *torch.autograd.grad((output * factors).sum(), list(module.parameters()))]

    expected = run(exact, x)
    for package in (torch.nn, nn):
        module = getattr(package, name)(16, 24)
        module.load_state_dict(exact.state_dict())
        module, inputs = (module, x.float()) if autocast else (module.bfloat16(), x.bfloat16())
        try:
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                actual = run(module, inputs)
        except RuntimeError as error:
            assert package is torch.nn and name == "LSTM" and autocast and "could not create a primitive" in str(error)
            continue
        errors.append([distance(actual[:1], expected[:1]), distance(actual[1:], expected[1:])])
        dtypes.append([value.dtype for value in actual])
    if len(errors) == 1:
        norms = [distance(part, [torch.zeros(())] * len(part)) for part in (expected[:1], expected[1:])]
        assert errors[0][0] < 2**-7 * norms[0] and errors[0][1] < 2**-7 * norms[1]
        assert dtypes[0] == [torch.bfloat16, *[torch.float32] * (len(expected) - 1)]
        return
    assert errors[1][0] <= errors[0][0] and errors[1][1] <= errors[0][1]
    assert dtypes[0] == dtypes[1]


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("compiled", [False, True])
def test_only_bfloat16_uses_matrix_tiles(name, compiled, monkeypatch):
    """Matrix tiles round the factors of bfloat16 products to 8 bits. float32 products are not changed."""
    torch.manual_seed(3)
    layer, x = getattr(nn, name)(37, 21), torch.randn(6, 19, 37)
    if compiled:
        monkeypatch.setattr(native, "is_traced_or_transformed", lambda tensors: True)

    def run(target):
        monkeypatch.setenv("SERIATIM_TARGET", target)
        output = layer(x)[0]
        return [output.detach(), *torch.autograd.grad(output.float().square().sum(), list(layer.parameters()))]

    assert all(map(torch.equal, run("amx-software"), run("portable")))
    with torch.autocast("cpu", torch.bfloat16):
        rounded, exact = run("amx-software"), run("portable")
    for rounded_value, exact_value in zip(rounded, exact, strict=True):
        assert 0 < (rounded_value - exact_value).float().norm() < 1e-2 * exact_value.float().norm()


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "SLSTM"])
@torch.no_grad()
def test_bfloat16_inference_runs_in_chunks(name, monkeypatch):
    torch.manual_seed(2)
    module, x = getattr(nn, name)(3, 4, 2, bidirectional=True).bfloat16(), torch.randn(11, 2, 3).bfloat16()
    whole = module(x)
    calls, forward = [], native.engine.forward
    monkeypatch.setattr(native.engine, "forward", lambda *arguments: calls.append(arguments) or forward(*arguments))
    for module_of in (native, eager_layers):
        monkeypatch.setattr(module_of, "CHUNK", 3 * 2 * 4 * 4)  # of three steps, and the last of two
    actual = module(x)
    torch.testing.assert_close(actual, whole)
    assert len(calls) == 4 * 4  # layers and directions × pieces
    monkeypatch.setattr(native, "CHUNK", 1)
    torch.testing.assert_close(module(x), whole)
