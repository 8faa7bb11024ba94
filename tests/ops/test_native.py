"""The engine as PyTorch sees it: every order of derivative, live graphs, changing weights, and PyTorch's transforms.

That the numbers are right is tested in ``tests/kernels/test_native.py`` and by the laws; here they are compared with
the composed steps, in float64 to 1e-12 (relative) where nothing else is said.
"""

from __future__ import annotations

import copy
import gc
import os
import shutil
import threading

import pytest
import torch
import torch._inductor.config
from torch import func

from seriatim import nn
from seriatim.kernels import native as kernels
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import eager_layers as straight
from seriatim.ops import native, operators
from seriatim.ops import packed_weights as held
from seriatim.ops.buffer_pool import POOL, SMALL, Pool
from seriatim.ops.recurrence import chosen, using
from seriatim.spec import CellSpec

pytestmark = pytest.mark.skipif(not kernels.available(), reason="the engine is not built")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
KINDS = {
    "rnn": (nn.RNN, {}), "lstm": (nn.LSTM, {"peephole": True, "proj_size": 2}), "gru": (nn.GRU, {"reset_after": False}),
    "normalised": (nn.LSTM, {"layer_norm": True}), "exponential": (nn.SLSTM, {}),
}  # fmt: skip


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def layer(request):
    torch.manual_seed(1)
    kind, options = request.param
    return kind(3, 4, dtype=torch.float64, **options)


def loss(layer, x, **more):
    output, state = layer(x, **more)
    final = state if isinstance(state, tuple) else (state,)
    return output.square().sum() + sum(one.sin().sum() for one in final)


def gradients(layer, x, **more):
    return torch.autograd.grad(loss(layer, x, **more), [x, *layer.parameters()])


def sequences(*shape, **more):
    torch.manual_seed(2)
    return torch.randn(*(shape or (5, 2, 3)), dtype=torch.float64, **more)


def test_it_is_the_engine_that_runs(layer):
    assert chosen(layer.spec, sequences()).name == ("eager" if layer.spec == CellSpec("rnn", 3, 4) else "native")


def test_second_derivatives(layer):
    x = sequences(requires_grad=True)
    first = torch.autograd.grad(loss(layer, x), [x, *layer.parameters()], create_graph=True)
    second = torch.autograd.grad(sum(one.square().sum() for one in first), [x, *layer.parameters()])
    with using("composed"):
        plain = torch.autograd.grad(loss(layer, x), [x, *layer.parameters()], create_graph=True)
        wanted = torch.autograd.grad(sum(one.square().sum() for one in plain), [x, *layer.parameters()])
    torch.testing.assert_close(second, wanted, **CLOSE)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,), fast_mode=True)


def test_operators_alone_have_all_derivatives(layer, monkeypatch):
    monkeypatch.setattr(native, "is_traced_or_transformed", lambda x: True)
    x = sequences(requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,), fast_mode=True)


@pytest.mark.parametrize("frozen", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0"])
def test_only_what_is_asked_for(layer, frozen):
    x = sequences(requires_grad=True)
    wanted = dict(zip(["x", *dict(layer.named_parameters())], gradients(layer, x), strict=True))
    getattr(layer, frozen).requires_grad_(False)
    loss(layer, x).backward()
    assert getattr(layer, frozen).grad is None
    for name, one in layer.named_parameters():
        if name != frozen:
            torch.testing.assert_close(one.grad, wanted[name], **CLOSE)
    layer.requires_grad_(False)
    (alone,) = torch.autograd.grad(loss(layer, x), [x])
    torch.testing.assert_close(alone, wanted["x"], **CLOSE)


def test_two_live_graphs_and_a_second_backward(layer):
    one, two = sequences(requires_grad=True), sequences(5, 2, 3, requires_grad=True)
    wanted = gradients(layer, one)
    first, second = loss(layer, one), loss(layer, two * 2)
    arguments = [one, *layer.parameters()]
    kept = torch.autograd.grad(first, arguments, retain_graph=True)
    torch.autograd.grad(second, [two])
    again = torch.autograd.grad(first, arguments)
    for found in (kept, again):
        assert all(torch.equal(got, value) for got, value in zip(found, wanted, strict=True))


def test_weights_changed_before_backward_are_refused(layer):
    result = loss(layer, sequences())
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


@pytest.mark.parametrize("change", [
    lambda weight: weight.mul_(2), lambda weight: weight.data.mul_(2),
    lambda weight: setattr(weight, "data", weight.data * 2),
])  # fmt: skip
@torch.no_grad()
def test_a_packing_follows_its_weights(layer, change):
    cell = nn.GRUCell(3, 4, dtype=torch.float64)
    x = sequences()
    layer(x), cell(x[0])
    change(layer.weight_hh_l0), change(cell.weight_ih)
    found = layer(x)[0], cell(x[0])
    with using("composed"):
        torch.testing.assert_close(found, (layer(x)[0], cell(x[0])), **CLOSE)


@torch.no_grad()
def test_a_packing_dies_with_its_weights():
    gc.collect()
    before = len(held._cache)
    layer = nn.GRU(3, 4, reset_after=False)
    layer(torch.randn(5, 2, 3)), layer(torch.randn(5, 2, 3))
    assert len(held._cache) == before + 1
    del layer
    gc.collect()
    assert len(held._cache) == before


@torch.inference_mode()
def test_weights_without_a_version_are_packed_afresh():
    cell = nn.GRUCell(3, 4)
    before = cell(torch.ones(1, 3))
    cell.weight_ih.zero_()
    assert not torch.equal(cell(torch.ones(1, 3)), before)


def test_threads_at_once(layer):
    x = sequences(requires_grad=True)
    wanted, results = gradients(layer, x), {}

    def work(k):
        results[k] = [gradients(layer, x) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for found in (one for each in results.values() for one in each):
        assert all(torch.equal(got, value) for got, value in zip(found, wanted, strict=True))
    assert len(results) == 4


def test_one_step_in_training(layer):
    kind = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell, "slstm": nn.SLSTMCell}[layer.spec.kind]
    cell, x = kind(3, 4, dtype=torch.float64), sequences(2, 3, requires_grad=True)

    def first(x):
        found = cell(x)
        return found[0] if isinstance(found, tuple) else found

    arguments = [x, *cell.parameters()]
    found = torch.autograd.grad(first(x).square().sum(), arguments)
    with using("composed"):
        torch.testing.assert_close(found, torch.autograd.grad(first(x).square().sum(), arguments), **CLOSE)


def test_compiled_without_a_break(layer):
    torch._dynamo.reset()
    x = sequences(requires_grad=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(gradients(compiled, x), gradients(layer, x), **CLOSE)


@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor compiles with g++, which is not here")
@pytest.mark.filterwarnings("ignore")  # what PyTorch's compiler says of itself
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
    cell(x[0])  # what it keeps between calls is no hindrance

    def gradients(cell):
        made = cell(x[1], cell(x[0]))
        return torch.autograd.grad((made[0] if isinstance(made, tuple) else made).sum(), list(cell.parameters()))

    compiled = torch.compile(cell, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(gradients(compiled), gradients(cell), **CLOSE)


def test_exported(layer):
    x = sequences()
    program = torch.export.export(layer, (x,))
    assert any("seriatim.recurrence" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x)[0], layer(x)[0], **CLOSE)


def test_the_operators_keep_their_word():
    """PyTorch's own check of schema, fake kernel and autograd registration."""
    x, h, w_ih, w_hh = sequences(), sequences(2, 4), sequences(12, 3), sequences(12, 4)
    given = [one.requires_grad_() for one in (x, h, w_ih, w_hh)]
    absent = (None for _ in range(len(operators.ARGUMENTS) - 5))
    arguments = (given[0], given[1], None, *given[2:], *absent, "gru", "tanh", True, False, False, False, True)
    assert len(arguments) == len(operators.ARGUMENTS) + 7
    torch.library.opcheck(torch.ops.seriatim.recurrence.default, arguments)


def test_vmap_and_gradients_per_sample(layer):
    many, parameters = sequences(4, 5, 2, 3), {name: one.detach() for name, one in layer.named_parameters()}
    torch.testing.assert_close(
        func.vmap(lambda x: layer(x)[0])(many), torch.stack([layer(x)[0] for x in many]), **CLOSE
    )
    each = func.vmap(func.grad(lambda given, x: func.functional_call(layer, given, (x,))[0].square().sum()), (None, 0))
    found = each(parameters, many)
    for k, x in enumerate(many):
        wanted = torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters()))
        torch.testing.assert_close([one[k] for one in found.values()], list(wanted), **CLOSE)
    stacked = {name: torch.stack([one, one * 2]) for name, one in parameters.items()}
    by_weights = func.vmap(lambda given: func.functional_call(layer, given, (many[0],))[0])(stacked)
    torch.testing.assert_close(by_weights[0], layer(many[0])[0], **CLOSE)


def test_vmap_of_masks_that_stand_for_all_rows():
    layer, many = nn.GRU(3, 4, dtype=torch.float64), sequences(4, 5, 2, 3)
    w = (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    walk = Walk(torch.tensor([5, 2]), True, zoneout=(torch.full((1, 1, 4), 0.5, dtype=torch.float64),))

    def call(x):
        return native.run(layer.spec, x, (x.new_zeros(2, 4),), Weights(*w), walk)[0]

    torch.testing.assert_close(func.vmap(call)(many), torch.stack([call(x) for x in many]), **CLOSE)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # PyTorch's own call
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_forward_mode(name):
    """PyTorch's LSTM has none on the CPU, so it is passed over too."""
    layer, x = getattr(nn, name)(3, 4, dtype=torch.float64), sequences(3, 1, 3)

    def call(x):
        return layer(x)[0].square().sum()

    found = func.jvp(call, (x,), (torch.ones_like(x),))[1]
    torch.testing.assert_close(found, func.grad(call)(x).sum(), **CLOSE)
    torch.testing.assert_close(func.hessian(call)(x), func.jacrev(func.grad(call))(x), rtol=1e-10, atol=1e-10)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # PyTorch's own call
def test_second_order_of_torch_func(layer):
    x = sequences(3, 1, 3)
    found = func.jacrev(func.grad(lambda x: layer(x)[0].square().sum()))(x)
    with using("composed"):
        wanted = func.hessian(lambda x: layer(x)[0].square().sum())(x)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.fixture(params=[None, "amx-software"])
def products(request, monkeypatch):
    """In what bfloat16 is multiplied: as this processor does it, and on matrix tiles."""
    if request.param:
        monkeypatch.setenv("SERIATIM_TARGET", request.param)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"])
@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_is_no_worse_than_pytorchs(name, autocast):
    """Compare the RMS error against float64, of the output and of all gradients, with PyTorch's; and compare dtypes.

    Where the processor has no bfloat16 arithmetic, PyTorch's LSTM refuses to run under autocast. Our layer runs there:
    its relative RMS error is then below 2⁻⁷, the distance between neighbouring bfloat16 numbers, and its output is
    bfloat16 with float32 gradients, as PyTorch's LSTM gives elsewhere.
    """
    torch.manual_seed(1)
    exact = getattr(torch.nn, name)(16, 24).double()
    shape = (2, 16) if "Cell" in name else (9, 2, 16)
    x, weighing = torch.randn(shape, dtype=torch.float64), torch.randn(*shape[:-1], 24)
    errors, dtypes = [], []

    def distance(found, wanted):
        off = [one.detach().double() - right.detach() for one, right in zip(found, wanted, strict=True)]
        return float(torch.cat([one.flatten() for one in off]).norm())

    def run(module, x):
        output = module(x)
        output = output[0] if isinstance(output, tuple) else output
        return [output, *torch.autograd.grad((output * weighing).sum(), list(module.parameters()))]

    wanted = run(exact, x)
    for package in (torch.nn, nn):
        module = getattr(package, name)(16, 24)
        module.load_state_dict(exact.state_dict())
        module, given = (module, x.float()) if autocast else (module.bfloat16(), x.bfloat16())
        try:
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                found = run(module, given)
        except RuntimeError as error:
            assert package is torch.nn and name == "LSTM" and autocast and "could not create a primitive" in str(error)
            continue
        errors.append([distance(found[:1], wanted[:1]), distance(found[1:], wanted[1:])])
        dtypes.append([value.dtype for value in found])
    if len(errors) == 1:
        norms = [distance(part, [torch.zeros(())] * len(part)) for part in (wanted[:1], wanted[1:])]
        assert errors[0][0] < 2**-7 * norms[0] and errors[0][1] < 2**-7 * norms[1]
        assert dtypes[0] == [torch.bfloat16, *[torch.float32] * (len(wanted) - 1)]
        return
    assert errors[1][0] <= errors[0][0] and errors[1][1] <= errors[0][1]
    assert dtypes[0] == dtypes[1]


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("compiled", [False, True])
def test_what_goes_to_matrix_tiles(name, compiled, monkeypatch):
    """bfloat16's products, whose factors are rounded to 8 bits then; not those of float32."""
    torch.manual_seed(3)
    layer, x = getattr(nn, name)(37, 21), torch.randn(6, 19, 37)
    if compiled:
        monkeypatch.setattr(native, "is_traced_or_transformed", lambda x: True)

    def run(target):
        monkeypatch.setenv("SERIATIM_TARGET", target)
        output = layer(x)[0]
        return [output.detach(), *torch.autograd.grad(output.float().square().sum(), list(layer.parameters()))]

    assert all(map(torch.equal, run("amx-software"), run("portable")))
    with torch.autocast("cpu", torch.bfloat16):
        rounded, exact = run("amx-software"), run("portable")
    for one, other in zip(rounded, exact, strict=True):
        assert 0 < (one - other).float().norm() < 1e-2 * other.float().norm()


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "SLSTM"])
@torch.no_grad()
def test_bfloat16_goes_in_pieces(name, monkeypatch):
    torch.manual_seed(2)
    module, x = getattr(nn, name)(3, 4, 2, bidirectional=True).bfloat16(), torch.randn(11, 2, 3).bfloat16()
    whole = module(x)
    calls, forward = [], native.engine.forward
    monkeypatch.setattr(native.engine, "forward", lambda *given: calls.append(given) or forward(*given))
    for module_of in (native, straight):
        monkeypatch.setattr(module_of, "CHUNK", 3 * 2 * 4 * 4)  # of three steps, and the last of two
    found = module(x)
    torch.testing.assert_close(found, whole)
    assert len(calls) == 4 * 4  # layers and directions × pieces
    monkeypatch.setattr(native, "CHUNK", 1)
    torch.testing.assert_close(module(x), whole)


def test_copies_and_replicas(layer):
    x = sequences()
    replica = layer._replicate_for_data_parallel()
    for name, one in layer._parameters.items():
        setattr(replica, name, one * 1)  # as DataParallel does: plain tensors that have a history
    found = torch.autograd.grad(loss(replica, x), list(layer.parameters()))
    torch.testing.assert_close(found, torch.autograd.grad(loss(layer, x), list(layer.parameters())), **CLOSE)
    assert torch.equal(copy.deepcopy(layer)(x)[0], layer(x)[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_after_use():
    layer, x = nn.GRU(3, 4), torch.randn(5, 2, 3)
    wanted = layer(x)[0].detach()
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(layer(x)[0].detach(), wanted) else 1)
    assert os.waitpid(child, 0)[1] == 0


class TestPool:
    def test_a_buffer_comes_back_when_its_last_tensor_is_gone(self):
        pool = Pool()
        one = pool.empty((SMALL,), torch.float32)
        view, place = one[10:20], one.data_ptr()
        del one
        assert pool.held == 0
        other = pool.empty((SMALL,), torch.float32)
        assert other.data_ptr() != place
        del view
        assert pool.held == 4 * SMALL
        assert pool.empty((SMALL // 2,), torch.float64).data_ptr() == place

    def test_no_more_is_held_than_was_in_use_at_once(self):
        pool = Pool()
        for size in range(1, 9):
            pool.empty((size * SMALL,), torch.float32)
        assert pool.held <= 4 * 8 * SMALL
        pool.clear()
        assert pool.held == 0

    def test_small_ones_are_pytorchs(self):
        pool = Pool()
        assert pool.empty((3, 4), torch.float64).shape == (3, 4)
        assert pool.held == 0

    def test_the_operators_lease_from_it(self):
        layer, x = nn.LSTM(4, 64), torch.randn(64, 32, 4)
        POOL.clear()
        result = layer(x)[0].sum()
        assert POOL.held == 0
        result.backward()
        assert POOL.held >= 4 * 64 * 32 * 64 * 4
        POOL.clear()
