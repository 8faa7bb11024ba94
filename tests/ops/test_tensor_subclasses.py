"""Tensors whose values are not at their address never reach the engine: results as PyTorch's, or an error.

The engine reads memory by address, so a tensor of this sort would end the process. Compared in float64 to 1e-12.
"""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate
from torch.utils._pytree import tree_map

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.kernels import native

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

NAMES = ["RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell"]
PLACES = ["x", "h", "c", "weight_ih", "weight_hh", "bias_ih", "bias_hh"]
CASES = [(name, place) for name in NAMES for place in PLACES if place != "c" or name.startswith("LSTM")]


class Wrapper(torch.Tensor):
    """A tensor without memory of its own, as quantised and distributed tensors are."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, strides=inner.stride())

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        def unwrapped(value):
            return value.inner if isinstance(value, Wrapper) else value

        return function(*tree_map(unwrapped, args), **tree_map(unwrapped, kwargs or {}))


@pytest.fixture(scope="module")
def mesh():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield DeviceMesh("cpu", [0])
    dist.destroy_process_group()


def calls(name, place, change):
    """The call of our module and of PyTorch's, with the same numbers, where ``change`` has changed one tensor."""
    results = []
    for library in (nn, torch.nn):
        torch.manual_seed(1)
        module = getattr(library, name)(3, 4, dtype=torch.float64)
        leading = (2,) if name.endswith("Cell") else (5, 2)
        tensors = {"x": torch.randn(*leading, 3, dtype=torch.float64)}
        for state in "hc" if name.startswith("LSTM") else "h":
            tensors[state] = torch.randn(*((2, 4) if name.endswith("Cell") else (1, 2, 4)), dtype=torch.float64)
        if place in tensors:
            tensors[place] = change(tensors[place])
        else:
            suffix = "" if name.endswith("Cell") else "_l0"
            module._parameters[place + suffix] = change(getattr(module, place + suffix).detach())
        results.append((module, tensors))
    return results


def run(module, tensors):
    state = (tensors["h"], tensors["c"]) if "c" in tensors else tensors["h"]
    outcome = module(tensors["x"], state)
    return outcome[0] if isinstance(outcome, tuple) else outcome


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("name", "place"), CASES)
def test_wrapper_gives_the_results_of_pytorch(name, place, grad):
    ours, plain = calls(name, place, Wrapper)
    with torch.set_grad_enabled(grad):
        actual, expected = run(*ours), run(*plain)
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
        if grad:
            for (module, _), output in ((ours, actual), (plain, expected)):
                output.sum().backward()
                module.trained = {key: weight.grad for key, weight in module._parameters.items()}
            torch.testing.assert_close(ours[0].trained, plain[0].trained, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("name", "place"), CASES)
def test_fake_tensor_is_refused_where_pytorch_refuses_it(name, place, grad):
    mode = FakeTensorMode()
    for module, tensors in calls(name, place, lambda tensor: mode.from_tensor(tensor)):
        with torch.set_grad_enabled(grad), pytest.raises(AssertionError, match="convert all Tensors to FakeTensors"):
            run(module, tensors)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("name", "place"), CASES)
def test_distributed_tensor_is_refused_where_pytorch_refuses_it(name, place, grad, mesh):
    """As in a call of a submodule whose weights ``fully_shard`` has not gathered."""
    change = lambda tensor: DTensor.from_local(tensor, mesh, [Replicate()])  # noqa: E731
    for module, tensors in calls(name, place, change):
        with torch.set_grad_enabled(grad), pytest.raises((RuntimeError, NotImplementedError)):
            run(module, tensors)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("name", "place"), CASES)
def test_tensor_without_memory_is_refused(name, place, grad):
    """PyTorch's own layers read address 0 here, so they do not run beside ours."""

    def freed(tensor):
        tensor = tensor.clone()
        tensor.untyped_storage().resize_(0)
        return tensor

    module, tensors = calls(name, place, freed)[0]
    message = rf"^{place}: got a tensor whose memory was freed" if place in ("x", "h", "c") else "no memory"
    with torch.set_grad_enabled(grad), pytest.raises(UsageError, match=message) as caught:
        run(module, tensors)
    assert isinstance(caught.value, RuntimeError) or place not in ("x", "h", "c")


@pytest.mark.parametrize(("name", "place"), CASES)
def test_tensor_on_another_device_is_refused(name, place):
    module, tensors = calls(name, place, lambda tensor: tensor.to("meta"))[0]
    with pytest.raises(UsageError, match=r"meta|no memory"):
        run(module, tensors)


@pytest.mark.parametrize("options", [{"peephole": True}, {"zoneout": 0.5}, {"layer_norm": True}, {"proj_size": 2}])
def test_variants_take_wrappers(options):
    torch.manual_seed(1)
    layer = nn.LSTM(3, 4, **options).eval()
    x = torch.randn(5, 2, 3)
    expected = layer(x)[0]
    layer._parameters["weight_hh_l0"] = Wrapper(layer.weight_hh_l0.detach())
    for actual in (layer(x)[0], layer(x, lengths=[5, 5])[0]):
        torch.testing.assert_close(actual, expected)


def test_wrapped_bfloat16_weight():
    torch.manual_seed(1)
    layer = nn.GRU(3, 4, dtype=torch.bfloat16)
    x = torch.randn(5, 2, 3, dtype=torch.bfloat16)
    expected = layer(x)[0]
    layer._parameters["weight_hh_l0"] = Wrapper(layer.weight_hh_l0.detach())
    torch.testing.assert_close(layer(x)[0], expected)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], expected)


@pytest.mark.parametrize("name", ["MinGRU", "MinLSTM", "LRU", "SLSTM"])
@pytest.mark.parametrize("grad", [True, False])
def test_other_cells_take_wrappers(name, grad):
    torch.manual_seed(1)
    layer = getattr(nn, name)(3, 4)
    x = torch.randn(5, 2, 3)
    expected = layer(x)[0]
    for key in list(layer._parameters):
        weight = layer._parameters[key]
        layer._parameters[key] = Wrapper(weight.detach())
        with torch.set_grad_enabled(grad):
            torch.testing.assert_close(layer(x)[0], expected)
        layer._parameters[key] = weight
    states = [torch.zeros(1, 2, size) for size in layer.state_sizes.values()]
    wrapped = [Wrapper(states[0]), *states[1:]]
    with torch.set_grad_enabled(grad):
        actual = layer(x, tuple(wrapped) if len(wrapped) > 1 else wrapped[0])[0]
    torch.testing.assert_close(actual, expected)
