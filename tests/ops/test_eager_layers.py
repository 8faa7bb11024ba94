"""A stack, with gradients and without: the same as the composed steps, and left to others where that is to be.

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
from seriatim.ops import eager_layers as straight
from seriatim.ops.recurrence import using

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
STACKS = {"one": {}, "stack": {"num_layers": 3}, "both": {"num_layers": 2, "bidirectional": True, "bias": False}}


@pytest.fixture(params=["RNN", "GRU", "LSTM"])
def kind(request):
    return getattr(nn, request.param)


def states(layer, rows=2):
    count = layer.num_layers * (1 + layer.bidirectional)
    made = tuple(torch.randn(count, rows, 4, dtype=torch.float64) for _ in layer.spec.states)
    return made if len(made) > 1 else made[0]


@pytest.fixture
def used(monkeypatch):
    """How often this path was taken to its end."""
    calls = []

    def counted(run):
        return lambda *given: (calls.append(1), run(*given))[1]

    for name in ("_infer", "_train"):
        monkeypatch.setattr(straight.EagerStack, name, counted(getattr(straight.EagerStack, name)))
    return calls


def gradients(layer, x, state, **options):
    """Output, final states and the gradients of everything that has one, of a loss that reaches all of them."""
    given = (x, *(state if isinstance(state, tuple) else () if state is None else (state,)))
    wanted = [one for one in (*given, *layer.parameters()) if one.requires_grad]
    output, final = layer(x, state)
    made = (output, *final) if isinstance(final, tuple) else (output, final)
    loss = sum(one.square().sum() for one in made)
    return [one.detach() for one in made], torch.autograd.grad(loss, wanted, **options)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
@torch.no_grad()
def test_results(kind, options, rows, with_state, used):
    layer, x = kind(3, 4, dtype=torch.float64, **options), torch.randn(5, rows, 3, dtype=torch.float64)
    state = states(layer, rows) if with_state else None
    found = layer(x, state)
    assert used
    with using("composed"):
        wanted = layer(x, state)
    assert len(used) == 1
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
def test_gradients(kind, options, rows, with_state, used):
    layer, x = kind(3, 4, dtype=torch.float64, **options), torch.randn(5, rows, 3, dtype=torch.float64)
    state = states(layer, rows) if with_state else None
    for one in (x, *(state if isinstance(state, tuple) else () if state is None else (state,))):
        one.requires_grad_()
    found = gradients(layer, x, state)
    assert used
    with using("composed"):
        torch.testing.assert_close(found, gradients(layer, x, state), **CLOSE)


@pytest.mark.parametrize("trained", [True, False])
def test_axes(kind, trained, used):
    layer = kind(3, 4, num_layers=2, batch_first=True, dtype=torch.float64).requires_grad_(trained)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    state = states(layer)
    alone = tuple(one[:, 0] for one in state) if isinstance(state, tuple) else state[:, 0]
    alone = tuple(one.contiguous() for one in alone) if isinstance(alone, tuple) else alone.contiguous()
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    for given, before in ((x, state), (x, None), (x[0], alone), (turned, None)):
        run = gradients if trained else lambda layer, x, state: layer(x, state)
        found = run(layer, given, before)
        with using("composed"):
            torch.testing.assert_close(found, run(layer, given, before), **CLOSE)
    assert len(used) == 4


@pytest.mark.parametrize("frozen", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
def test_frozen_weights(kind, frozen, used):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer.get_parameter(frozen).requires_grad_(False)
    found = gradients(layer, x, None)
    with using("composed"):
        torch.testing.assert_close(found, gradients(layer, x, None), **CLOSE)
    assert used


def test_second_derivatives(kind, used):
    layer = kind(2, 3, num_layers=2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()))
    assert used


def test_gradients_by_batches(kind, used):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    output = layer(x)[0]
    many = torch.randn(3, *output.shape, dtype=torch.float64)
    found = torch.autograd.grad(output, x, many, is_grads_batched=True, retain_graph=True)[0]
    torch.testing.assert_close(
        found, torch.stack([torch.autograd.grad(output, x, one, retain_graph=True)[0] for one in many]), **CLOSE
    )
    assert used


def test_live_graphs_and_a_second_backward(kind, used):
    layer = kind(3, 4, dtype=torch.float64)
    x, y = torch.randn(2, 5, 2, 3, dtype=torch.float64)
    first, second = (layer(one)[0].square().sum() for one in (x, y))
    weights = list(layer.parameters())
    before = torch.autograd.grad(first, weights, retain_graph=True)
    torch.autograd.grad(second, weights)
    torch.testing.assert_close(torch.autograd.grad(first, weights), before, rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(first, weights)
    assert len(used) == 2


def test_weights_changed_before_backward_are_refused(kind, used):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    loss = layer(x)[0].sum()
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert used


def test_a_first_state_of_zeros_is_nobody_elses(kind, used):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    outputs = []
    for _ in range(2):
        output, final = layer(x)
        outputs.append(output.detach().clone())
        output.detach().fill_(9)
        for one in final if isinstance(final, tuple) else (final,):
            one.detach().fill_(9)
    assert torch.equal(*outputs)
    with torch.inference_mode():
        layer(x[:, :1])
    layer(x[:, :1])[0].sum().backward()
    assert len(used) == 4


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(kind, reentrant):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    wanted = torch.autograd.grad(layer(x)[0].square().sum(), layer.weight_hh_l0)[0]
    checkpoint(lambda x: layer(x)[0], x, use_reentrant=reentrant).square().sum().backward()
    torch.testing.assert_close(layer.weight_hh_l0.grad, wanted, **CLOSE)


def test_weights_that_come_from_elsewhere(kind, used):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer(x)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    made = {name: one.detach() * scale for name, one in layer.named_parameters()}
    found = torch.func.functional_call(layer, made, (x,))[0].square().sum()
    assert len(used) == 1  # what is held would keep their graph alive
    torch.testing.assert_close(found, layer(x)[0].square().sum(), **CLOSE)
    found.backward()
    assert scale.grad is not None


@torch.no_grad()
def test_weights_that_change(kind, used):
    layer, x = kind(3, 4, num_layers=2, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer(x)
    for change in (
        lambda weight: weight.mul_(1.5), lambda weight: weight.data.mul_(1.5),
        lambda weight: setattr(weight, "data", weight.data * 1.5),
    ):  # fmt: skip
        change(layer.weight_hh_l1)
        found = layer(x)
        with using("composed"):
            torch.testing.assert_close(found, layer(x), **CLOSE)
        torch.testing.assert_close(copy.deepcopy(layer)(x), found, **CLOSE)
    assert len(used) == 7


def test_left_to_others(kind, used):
    layer, x = kind(3, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    layer(x, lengths=[5, 3])
    layer(x, reverse=True)
    layer(x.transpose(0, 2).contiguous().transpose(0, 2))
    with torch.autograd.graph.saved_tensors_hooks(lambda one: one.numpy(), torch.from_numpy):
        layer(x)[0].sum().backward()
    for wrong in (x.float(), x[:, :, :2], x[:0]):
        with pytest.raises(UsageError, match="input: got"):
            layer(wrong)
    with pytest.raises(UsageError, match="hx: "):
        layer(x, states(layer, 3))
    kind(3, 4, zoneout=0.1, dtype=torch.float64)(x)
    assert not used
    layer(x)
    assert used


@pytest.mark.parametrize("options", STACKS.values(), ids=STACKS)
@torch.no_grad()
def test_bfloat16_is_as_by_the_general_way(kind, options, used, monkeypatch):
    torch.manual_seed(4)
    layer = kind(3, 4, **options).bfloat16()
    x = torch.randn(6, 2, 3).bfloat16()
    state = states(layer)
    state = tuple(one.bfloat16() for one in state) if isinstance(state, tuple) else state.bfloat16()
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([6, 4]))

    def run():
        rows = layer(packed, state)
        found = [*layer(x, state), *layer(x.transpose(0, 1)[0]), layer(x)[0], rows[0].data, rows[1]]
        return [part for one in found for part in (one if isinstance(one, tuple) else (one,))]

    found = run()
    assert len(used) == 4
    with torch.enable_grad():
        output, _ = layer(x, state)  # training goes the general way
    assert output.requires_grad and len(used) == 4
    for weight in layer.parameters():
        weight.mul_(2)
    changed = run()
    monkeypatch.setattr(straight.EagerStack, "run", lambda *given: None)
    torch.testing.assert_close(changed, run())
    for weight in layer.parameters():
        weight.div_(2)  # exactly
    torch.testing.assert_close(found, run())
    assert {one.dtype for one in found} == {torch.bfloat16}
