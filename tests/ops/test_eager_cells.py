"""Cells in a loop give the results and gradients of composed steps, also when weights change or graphs stay alive.

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
from seriatim.ops import eager_cells
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
    """A loss that depends on every step."""
    total = 0
    for step in x:
        state = cell(step, state)
        total = total + sum(part.sin().sum() for part in (state if isinstance(state, tuple) else (state,)))
    return total


def gradients(cell, x, **more):
    return torch.autograd.grad(final(cell, x), [x, *cell.parameters()], **more)


def composed(cell, x):
    with using("composed"):
        return gradients(cell, x)


def test_cell_takes_the_eager_path(cell, x, monkeypatch):
    cell(x[0])
    monkeypatch.setattr(eager_cells, "apply_step", lambda *arguments: 1 / 0)
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
        actual = final(cell, x)
        with using("composed"):
            torch.testing.assert_close(actual, final(cell, x), **CLOSE)


@pytest.mark.parametrize("frozen", ["weight_ih", "weight_hh", "bias_hh"])
def test_frozen_weights(cell, x, frozen):
    if not hasattr(cell, frozen) or getattr(cell, frozen) is None:
        pytest.skip("without bias")
    expected = dict(zip(dict(cell.named_parameters()), gradients(cell, x)[1:], strict=True))
    getattr(cell, frozen).requires_grad_(False)
    final(cell, x).backward()
    for name, weight in cell.named_parameters():
        if name == frozen:
            assert weight.grad is None
        else:
            torch.testing.assert_close(weight.grad, expected[name], **CLOSE)
    cell.requires_grad_(False)
    torch.testing.assert_close(torch.autograd.grad(final(cell, x), [x]), composed_of_x(cell, x), **CLOSE)


def composed_of_x(cell, x):
    with using("composed"):
        return torch.autograd.grad(final(cell, x), [x])


def test_backward_without_weights_leaves_no_pass(cell, x):
    expected = composed(cell, x)
    loss = final(cell, x)
    (grad_x,) = torch.autograd.grad(loss, [x], retain_graph=True)
    grad_weight = torch.autograd.grad(loss, [cell.weight_hh], retain_graph=True)
    second_result = torch.autograd.grad(loss, [x, *cell.parameters()])
    torch.testing.assert_close((grad_x, *grad_weight), (expected[0], expected[2]), **CLOSE)
    torch.testing.assert_close(second_result, expected, **CLOSE)
    assert not cell._eager._current.gradients._passes


def test_live_graphs_and_a_second_backward(cell, x):
    expected = composed(cell, x)
    first, second = final(cell, x), final(cell, 2 * x)
    first_result = torch.autograd.grad(first, [x, *cell.parameters()], retain_graph=True)
    second.backward()
    second_result = torch.autograd.grad(first, [x, *cell.parameters()])
    torch.testing.assert_close((first_result, second_result), (expected, expected), **CLOSE)


def test_second_derivatives(cell, x):
    def second():
        first = gradients(cell, x, create_graph=True)
        return torch.autograd.grad(sum(tensor.square().sum() for tensor in first), [x, *cell.parameters()])

    actual = second()
    with using("composed"):
        torch.testing.assert_close(actual, second(), **CLOSE)


def test_batched_gradients(cell, x):
    """``torch.autograd.functional.jacobian(vectorize=True)`` does this."""
    seeds = torch.tensor([1.0, 2.0], dtype=torch.float64)
    actual = gradients(cell, x, grad_outputs=seeds, is_grads_batched=True)
    torch.testing.assert_close([tensor[1] for tensor in actual], [2 * tensor for tensor in composed(cell, x)], **CLOSE)


def test_changed_weights(cell, x):
    final(cell, x).backward()
    for change in (
        lambda weight: weight.mul_(1.5), lambda weight: weight.data.mul_(1.5),
        lambda weight: setattr(weight, "data", weight.data * 1.5),
    ):  # fmt: skip
        for weight in cell.parameters():
            with torch.no_grad():
                change(weight)
        torch.testing.assert_close(gradients(cell, x), composed(cell, x), **CLOSE)
    cell.weight_hh = torch.nn.Parameter(cell.weight_hh.detach() * 2)
    torch.testing.assert_close(gradients(cell, x), composed(cell, x), **CLOSE)


def test_replaced_weight(cell, x):
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


def test_wrong_arguments_are_refused_at_each_call(cell):
    x = torch.zeros(2, 3, dtype=torch.float64)
    cell(x)
    for wrong in (x.float(), x[:, :2], x[None, None]):
        with pytest.raises(UsageError, match="input: got"):
            cell(wrong)
    with pytest.raises(UsageError, match="hx: "):
        cell(x, tuple(torch.zeros(3, 4, dtype=torch.float64) for _ in cell.spec.states))
    assert cell(x[0])[0].dtype == torch.float64  # one row


def test_strides(cell, x):
    transposed = x.detach().transpose(0, 2).contiguous().transpose(0, 2)
    torch.testing.assert_close(final(cell, transposed), final(cell, x), **CLOSE)


def test_autocast_around_backward_changes_nothing(cell, x):
    expected = gradients(cell, x)
    loss = final(cell, x)
    with torch.autocast("cpu", torch.bfloat16):
        actual = torch.autograd.grad(loss, [x, *cell.parameters()])
    assert all(torch.equal(*pair) for pair in zip(actual, expected, strict=True))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints_and_hooks(cell, x, reentrant):
    expected = gradients(cell, x)
    checkpoint(lambda x: final(cell, x), x, use_reentrant=reentrant).backward()
    torch.testing.assert_close([x.grad, *(tensor.grad for tensor in cell.parameters())], list(expected), **CLOSE)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor.clone(), lambda tensor: tensor.clone()):
        actual = gradients(cell, x)
    torch.testing.assert_close(actual, expected, **CLOSE)
    with torch.autograd.graph.saved_tensors_hooks(
        transpose_memory, transpose_memory
    ):  # the same values with other strides
        actual = gradients(cell, x)
    torch.testing.assert_close(actual, expected, **CLOSE)


def transpose_memory(tensor):
    """The same values with other strides."""
    return tensor.detach().t().contiguous().t() if tensor.dim() == 2 else tensor


def test_copies_and_replicas(cell, x):
    expected = gradients(cell, x)
    for copied in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        torch.testing.assert_close(gradients(copied, x), expected, **CLOSE)
    replica = cell._replicate_for_data_parallel()
    for name, weight in cell._parameters.items():
        if weight is not None:
            setattr(replica, name, weight * 1)
    actual = torch.autograd.grad(final(replica, x), list(cell.parameters()))
    torch.testing.assert_close(actual, expected[1:], **CLOSE)
    scaled = torch.func.functional_call(cell, {name: weight * 2 for name, weight in cell.named_parameters()}, (x[0],))
    assert not torch.equal(scaled[0], cell(x[0])[0])


def test_concurrent_threads(cell, x):
    expected, results = gradients(cell, x), {}

    def work(k):
        results[k] = [gradients(cell, x) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for actual in (thread for each in results.values() for thread in each):
        torch.testing.assert_close(actual, expected, **CLOSE)


@pytest.mark.parametrize("rows, size", [(40, 96), (5, 256)], ids=["by rows", "by units"])
@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
def test_thread_counts_agree(name, rows, size):
    torch.manual_seed(3)
    cell = getattr(nn, name)(3 * size, size, dtype=torch.float64)  # a step large enough to be shared
    x = torch.randn(2, rows, 3 * size, dtype=torch.float64)
    before = torch.get_num_threads()
    actual = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with torch.no_grad():
                actual.append(cell(x[1], cell(x[0])))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*actual, **CLOSE)
    with using("composed"), torch.no_grad():
        torch.testing.assert_close(actual[1], cell(x[1], cell(x[0])), **CLOSE)


def test_nothing_outlives_the_cell(x):
    cell = nn.LSTMCell(3, 4, dtype=torch.float64)
    final(cell, x).backward()
    weight, current = weakref.ref(cell.weight_hh), weakref.ref(cell._eager._current)
    del cell
    gc.collect()
    assert current() is None and weight() is None


@torch.inference_mode()
def test_inference_weights_are_packed_again():
    cell = nn.GRUCell(3, 4)
    original = cell(torch.ones(1, 3))
    cell.weight_ih.zero_()
    assert not torch.equal(cell(torch.ones(1, 3)), original)


def test_training_after_inference(cell, x):
    with torch.inference_mode():
        final(cell, x)
    torch.testing.assert_close(gradients(cell, x), composed(cell, x), **CLOSE)
