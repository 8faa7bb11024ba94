"""Cells in a loop: the same results and gradients as the composed steps, whatever is done to weights and graphs.

Compared in float64 to 1e-12 (relative).
"""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.ops import eager_cells as stepping
from seriatim.ops.recurrence import using

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(params=["RNNCell", "GRUCell", "LSTMCell", "GRUCell without bias"])
def cell(request):
    torch.manual_seed(1)
    name, *without = request.param.split(" without ")
    return getattr(nn, name)(3, 4, bias=not without, dtype=torch.float64)


@pytest.fixture
def x():
    torch.manual_seed(2)
    return torch.randn(7, 2, 3, dtype=torch.float64, requires_grad=True)


def final(cell, x, state=None):
    """The loss of a loop: something of every step."""
    total = 0
    for one in x:
        state = cell(one, state)
        total = total + sum(part.sin().sum() for part in (state if isinstance(state, tuple) else (state,)))
    return total


def gradients(cell, x, **more):
    return torch.autograd.grad(final(cell, x), [x, *cell.parameters()], **more)


def composed(cell, x):
    with using("composed"):
        return gradients(cell, x)


def test_it_is_this_path_that_runs(cell, x, monkeypatch):
    cell(x[0])
    monkeypatch.setattr(stepping, "apply_step", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cell(x[0])
    with using("composed"):
        cell(x[0])


@pytest.mark.parametrize("rows", [0, 1, 3, 200])
def test_results_and_gradients(cell, rows):
    torch.manual_seed(2)
    x = torch.randn(5, rows, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(gradients(cell, x), composed(cell, x), **CLOSE)
    with torch.no_grad():
        found = final(cell, x)
        with using("composed"):
            torch.testing.assert_close(found, final(cell, x), **CLOSE)


@pytest.mark.parametrize("frozen", ["weight_ih", "weight_hh", "bias_hh"])
def test_frozen_weights(cell, x, frozen):
    if not hasattr(cell, frozen) or getattr(cell, frozen) is None:
        pytest.skip("without bias")
    wanted = dict(zip(dict(cell.named_parameters()), gradients(cell, x)[1:], strict=True))
    getattr(cell, frozen).requires_grad_(False)
    final(cell, x).backward()
    for name, one in cell.named_parameters():
        if name == frozen:
            assert one.grad is None
        else:
            torch.testing.assert_close(one.grad, wanted[name], **CLOSE)
    cell.requires_grad_(False)
    torch.testing.assert_close(torch.autograd.grad(final(cell, x), [x]), composed_of_x(cell, x), **CLOSE)


def composed_of_x(cell, x):
    with using("composed"):
        return torch.autograd.grad(final(cell, x), [x])


def test_a_pass_that_does_not_come_to_the_weights_leaves_nothing_behind(cell, x):
    wanted = composed(cell, x)
    loss = final(cell, x)
    (alone,) = torch.autograd.grad(loss, [x], retain_graph=True)
    some = torch.autograd.grad(loss, [cell.weight_hh], retain_graph=True)
    again = torch.autograd.grad(loss, [x, *cell.parameters()])
    torch.testing.assert_close((alone, *some), (wanted[0], wanted[2]), **CLOSE)
    torch.testing.assert_close(again, wanted, **CLOSE)
    assert not cell._eager._current.gradients._passes


def test_live_graphs_and_a_second_backward(cell, x):
    wanted = composed(cell, x)
    first, second = final(cell, x), final(cell, 2 * x)
    kept = torch.autograd.grad(first, [x, *cell.parameters()], retain_graph=True)
    second.backward()
    again = torch.autograd.grad(first, [x, *cell.parameters()])
    torch.testing.assert_close((kept, again), (wanted, wanted), **CLOSE)


def test_second_derivatives(cell, x):
    def second():
        first = gradients(cell, x, create_graph=True)
        return torch.autograd.grad(sum(one.square().sum() for one in first), [x, *cell.parameters()])

    found = second()
    with using("composed"):
        torch.testing.assert_close(found, second(), **CLOSE)


def test_gradients_by_batches(cell, x):
    """What ``torch.autograd.functional.jacobian(vectorize=True)`` does."""
    seeds = torch.tensor([1.0, 2.0], dtype=torch.float64)
    found = gradients(cell, x, grad_outputs=seeds, is_grads_batched=True)
    torch.testing.assert_close([one[1] for one in found], [2 * one for one in composed(cell, x)], **CLOSE)


def test_weights_that_change(cell, x):
    final(cell, x).backward()
    for change in (
        lambda weight: weight.mul_(1.5), lambda weight: weight.data.mul_(1.5),
        lambda weight: setattr(weight, "data", weight.data * 1.5),
    ):  # fmt: skip
        for one in cell.parameters():
            with torch.no_grad():
                change(one)
        torch.testing.assert_close(gradients(cell, x), composed(cell, x), **CLOSE)
    cell.weight_hh = torch.nn.Parameter(cell.weight_hh.detach() * 2)
    torch.testing.assert_close(gradients(cell, x), composed(cell, x), **CLOSE)


def test_a_weight_that_is_replaced(cell, x):
    gradients(cell, x)
    old, new = cell.weight_hh, torch.nn.Parameter(cell.weight_hh.detach())  # of the same memory and version
    cell.weight_hh = new
    final(cell, x).backward()
    assert old.grad is None
    torch.testing.assert_close(new.grad, composed(cell, x)[2], **CLOSE)
    if cell.bias:
        cell.bias_hh = cell.bias_ih = None
        with pytest.raises(UsageError, match="b_ih: got None"):
            cell(x[0])


def test_weights_changed_before_backward_are_refused(cell, x):
    loss = final(cell, x)
    with torch.no_grad():
        cell.weight_hh.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_weights_changed_during_backward_are_refused(cell, x):
    state = cell(x[1], cell(x[0]))
    h = state[0] if isinstance(state, tuple) else state
    h.register_hook(lambda _: change(cell.weight_hh))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        final(cell, x[2:], state).backward()


def change(weight):
    with torch.no_grad():
        weight.mul_(2)


def test_what_does_not_fit_is_refused_on_every_call(cell):
    x = torch.zeros(2, 3, dtype=torch.float64)
    cell(x)
    for wrong in (x.float(), x[:, :2], x[None, None]):
        with pytest.raises(UsageError, match="input: got"):
            cell(wrong)
    with pytest.raises(UsageError, match="hx: "):
        cell(x, tuple(torch.zeros(3, 4, dtype=torch.float64) for _ in cell.spec.states))
    assert cell(x[0])[0].dtype == torch.float64  # one row


def test_strides(cell, x):
    turned = x.detach().transpose(0, 2).contiguous().transpose(0, 2)
    torch.testing.assert_close(final(cell, turned), final(cell, x), **CLOSE)


def test_autocast_around_backward_changes_nothing(cell, x):
    wanted = gradients(cell, x)
    loss = final(cell, x)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(loss, [x, *cell.parameters()])
    assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints_and_hooks(cell, x, reentrant):
    wanted = gradients(cell, x)
    checkpoint(lambda x: final(cell, x), x, use_reentrant=reentrant).backward()
    torch.testing.assert_close([x.grad, *(one.grad for one in cell.parameters())], list(wanted), **CLOSE)
    with torch.autograd.graph.saved_tensors_hooks(lambda one: one.clone(), lambda one: one.clone()):
        found = gradients(cell, x)
    torch.testing.assert_close(found, wanted, **CLOSE)
    with torch.autograd.graph.saved_tensors_hooks(turned, turned):  # the same values, not where they stood
        found = gradients(cell, x)
    torch.testing.assert_close(found, wanted, **CLOSE)


def turned(one):
    return one.detach().t().contiguous().t() if one.dim() == 2 else one


def test_copies_and_replicas(cell, x):
    wanted = gradients(cell, x)
    for other in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        torch.testing.assert_close(gradients(other, x), wanted, **CLOSE)
    replica = cell._replicate_for_data_parallel()
    for name, one in cell._parameters.items():
        if one is not None:
            setattr(replica, name, one * 1)
    found = torch.autograd.grad(final(replica, x), list(cell.parameters()))
    torch.testing.assert_close(found, wanted[1:], **CLOSE)
    called = torch.func.functional_call(cell, {name: one * 2 for name, one in cell.named_parameters()}, (x[0],))
    assert not torch.equal(called[0], cell(x[0])[0])


def test_threads_at_once(cell, x):
    wanted, results = gradients(cell, x), {}

    def work(k):
        results[k] = [gradients(cell, x) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(results) == 4
    for found in (one for each in results.values() for one in each):
        torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("rows, size", [(40, 96), (5, 256)], ids=["by rows", "by units"])
@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
def test_several_threads(name, rows, size):
    torch.manual_seed(3)
    cell = getattr(nn, name)(3 * size, size, dtype=torch.float64)  # a step large enough to be shared
    x = torch.randn(2, rows, 3 * size, dtype=torch.float64)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with torch.no_grad():
                found.append(cell(x[1], cell(x[0])))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*found, **CLOSE)
    with using("composed"), torch.no_grad():
        torch.testing.assert_close(found[1], cell(x[1], cell(x[0])), **CLOSE)


def test_nothing_outlives_the_cell(x):
    cell = nn.LSTMCell(3, 4, dtype=torch.float64)
    final(cell, x).backward()
    weight, held = weakref.ref(cell.weight_hh), weakref.ref(cell._eager._current)
    del cell
    gc.collect()
    assert held() is None and weight() is None


@torch.inference_mode()
def test_weights_without_a_version():
    cell = nn.GRUCell(3, 4)
    before = cell(torch.ones(1, 3))
    cell.weight_ih.zero_()
    assert not torch.equal(cell(torch.ones(1, 3)), before)


def test_inference_first_and_training_after(cell, x):
    with torch.inference_mode():
        final(cell, x)
    torch.testing.assert_close(gradients(cell, x), composed(cell, x), **CLOSE)
