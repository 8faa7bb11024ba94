"""A stack in one call gives the results of composed steps, and calls that do not fit take another path.

Compared in float64 to 1e-12 (relative).
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.ops import eager_layers
from seriatim.ops.recurrence import using

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
STACKS = {"one": {}, "stack": {"num_layers": 3}, "both": {"num_layers": 2, "bidirectional": True, "bias": False}}


@pytest.fixture(params=["RNN", "GRU", "LSTM"])
def kind(request):
    return getattr(nn, request.param)


def states(layer, rows=2):
    count = layer.num_layers * (1 + layer.bidirectional)
    parts = tuple(torch.randn(count, rows, 4, dtype=torch.float64) for _ in layer.spec.states)
    return parts if len(parts) > 1 else parts[0]


@pytest.fixture
def calls(monkeypatch):
    """A list with one item for each completed call of the eager path."""
    calls = []

    def counted(run):
        return lambda *inputs: (calls.append(1), run(*inputs))[1]

    for name in ("_infer", "_train"):
        monkeypatch.setattr(eager_layers.EagerStack, name, counted(getattr(eager_layers.EagerStack, name)))
    return calls


def gradients(layer, x, state, **options):
    """Output, final states, and all gradients of a loss that depends on all of these."""
    inputs = (x, *(state if isinstance(state, tuple) else () if state is None else (state,)))
    sources = [tensor for tensor in (*inputs, *layer.parameters()) if tensor.requires_grad]
    output, final = layer(x, state)
    results = (output, *final) if isinstance(final, tuple) else (output, final)
    loss = sum(tensor.square().sum() for tensor in results)
    return [tensor.detach() for tensor in results], torch.autograd.grad(loss, sources, **options)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
@torch.no_grad()
def test_results(kind, options, rows, with_state, calls):
    layer, x = kind(3, 4, dtype=torch.float64, **options), torch.randn(5, rows, 3, dtype=torch.float64)
    state = states(layer, rows) if with_state else None
    actual = layer(x, state)
    assert calls
    with using("composed"):
        expected = layer(x, state)
    assert len(calls) == 1
    torch.testing.assert_close(actual, expected, **CLOSE)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
def test_gradients(kind, options, rows, with_state, calls):
    layer, x = kind(3, 4, dtype=torch.float64, **options), torch.randn(5, rows, 3, dtype=torch.float64)
    state = states(layer, rows) if with_state else None
    for tensor in (x, *(state if isinstance(state, tuple) else () if state is None else (state,))):
        tensor.requires_grad_()
    actual = gradients(layer, x, state)
    assert calls
    with using("composed"):
        torch.testing.assert_close(actual, gradients(layer, x, state), **CLOSE)


@pytest.mark.parametrize("trained", [True, False])
def test_axes(kind, trained, calls):
    layer = kind(3, 4, num_layers=2, batch_first=True, dtype=torch.float64).requires_grad_(trained)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    state = states(layer)
    row_state = tuple(tensor[:, 0] for tensor in state) if isinstance(state, tuple) else state[:, 0]
    row_state = (
        tuple(tensor.contiguous() for tensor in row_state) if isinstance(row_state, tuple) else row_state.contiguous()
    )
    transposed = x.transpose(0, 1).contiguous().transpose(0, 1)
    for inputs, initial in ((x, state), (x, None), (x[0], row_state), (transposed, None)):
        run = gradients if trained else lambda layer, x, state: layer(x, state)
        actual = run(layer, inputs, initial)
        with using("composed"):
            torch.testing.assert_close(actual, run(layer, inputs, initial), **CLOSE)
    assert len(calls) == 4


@pytest.mark.parametrize("frozen", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
def test_frozen_weights(kind, frozen, calls):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer.get_parameter(frozen).requires_grad_(False)
    actual = gradients(layer, x, None)
    with using("composed"):
        torch.testing.assert_close(actual, gradients(layer, x, None), **CLOSE)
    assert calls


def test_second_derivatives(kind, calls):
    layer = kind(2, 2, num_layers=2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()))
    assert calls


def test_batched_gradients(kind, calls):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    output = layer(x)[0]
    seeds = torch.randn(3, *output.shape, dtype=torch.float64)
    actual = torch.autograd.grad(output, x, seeds, is_grads_batched=True, retain_graph=True)[0]
    torch.testing.assert_close(
        actual, torch.stack([torch.autograd.grad(output, x, seed, retain_graph=True)[0] for seed in seeds]), **CLOSE
    )
    assert calls


def test_live_graphs_and_a_second_backward(kind, calls):
    layer = kind(3, 4, dtype=torch.float64)
    x, y = torch.randn(2, 5, 2, 3, dtype=torch.float64)
    first, second = (layer(value)[0].square().sum() for value in (x, y))
    weights = list(layer.parameters())
    gradients = torch.autograd.grad(first, weights, retain_graph=True)
    torch.autograd.grad(second, weights)
    torch.testing.assert_close(torch.autograd.grad(first, weights), gradients, rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(first, weights)
    assert len(calls) == 2


def test_weights_changed_before_backward_are_refused(kind, calls):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    loss = layer(x)[0].sum()
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert calls


def test_zero_state_is_not_shared_with_the_caller(kind, calls):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    outputs = []
    for _ in range(2):
        output, final = layer(x)
        outputs.append(output.detach().clone())
        output.detach().fill_(9)
        for tensor in final if isinstance(final, tuple) else (final,):
            tensor.detach().fill_(9)
    assert torch.equal(*outputs)
    with torch.inference_mode():
        layer(x[:, :1])
    layer(x[:, :1])[0].sum().backward()
    assert len(calls) == 4


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(kind, reentrant):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(layer(x)[0].square().sum(), layer.weight_hh_l0)[0]
    checkpoint(lambda x: layer(x)[0], x, use_reentrant=reentrant).square().sum().backward()
    torch.testing.assert_close(layer.weight_hh_l0.grad, expected, **CLOSE)


def test_computed_weights_take_another_path(kind, calls):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer(x)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    weights = {name: tensor.detach() * scale for name, tensor in layer.named_parameters()}
    actual = torch.func.functional_call(layer, weights, (x,))[0].square().sum()
    assert len(calls) == 1  # otherwise the cache would keep their graph alive
    torch.testing.assert_close(actual, layer(x)[0].square().sum(), **CLOSE)
    actual.backward()
    assert scale.grad is not None


@torch.no_grad()
def test_changed_weights(kind, calls):
    layer, x = kind(3, 4, num_layers=2, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer(x)
    for change in (
        lambda weight: weight.mul_(1.5), lambda weight: weight.data.mul_(1.5),
        lambda weight: setattr(weight, "data", weight.data * 1.5),
    ):  # fmt: skip
        change(layer.weight_hh_l1)
        actual = layer(x)
        with using("composed"):
            torch.testing.assert_close(actual, layer(x), **CLOSE)
        torch.testing.assert_close(copy.deepcopy(layer)(x), actual, **CLOSE)
    assert len(calls) == 7


def test_calls_that_do_not_fit_take_another_path(kind, calls):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer(x, lengths=[5, 3])
    layer(x, reverse=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor.numpy(), torch.from_numpy):
        layer(x)[0].sum().backward()
    for wrong in (x.float(), x[:, :, :2], x[:0]):
        with pytest.raises(UsageError, match="input: got"):
            layer(wrong)
    with pytest.raises(UsageError, match="hx: "):
        layer(x, states(layer, 3))
    kind(3, 4, zoneout=0.1, dtype=torch.float64)(x)
    assert not calls
    layer(x)
    assert calls


@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
@torch.no_grad()
def test_bfloat16_equals_the_general_path(kind, options, calls, monkeypatch):
    torch.manual_seed(4)
    layer = kind(3, 4, **options).bfloat16()
    x = torch.randn(6, 2, 3).bfloat16()
    state = states(layer)
    state = tuple(tensor.bfloat16() for tensor in state) if isinstance(state, tuple) else state.bfloat16()
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([6, 4]))

    def run():
        rows = layer(packed, state)
        actual = [*layer(x, state), *layer(x.transpose(0, 1)[0]), layer(x)[0], rows[0].data, rows[1]]
        return [part for tensor in actual for part in (tensor if isinstance(tensor, tuple) else (tensor,))]

    actual = run()
    assert len(calls) == 4
    with torch.enable_grad():
        output, _ = layer(x, state)  # training goes the general way
    assert output.requires_grad and len(calls) == 4
    for weight in layer.parameters():
        weight.mul_(2)
    changed = run()
    monkeypatch.setattr(eager_layers.EagerStack, "run", lambda *inputs: None)
    torch.testing.assert_close(changed, run())
    for weight in layer.parameters():
        weight.div_(2)  # exactly
    torch.testing.assert_close(actual, run())
    assert {tensor.dtype for tensor in actual} == {torch.bfloat16}
