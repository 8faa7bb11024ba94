"""The checks of PyTorch's own module tests on its entries for recurrent layers and cells, with our classes in place.

``torch.testing._internal`` has the entries, inputs and errors, but not the tests, nor those of ``test_nn.py``. Results
are compared with PyTorch's module. ``test_torch_samples.py`` compares results and gradients of all samples.
"""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence
from torch.testing._internal.common_modules import module_db

from seriatim import nn
from seriatim.errors import UsageError

INFOS = {
    info.module_cls.__name__: info
    for info in module_db
    if info.module_cls.__name__ in ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
}
ignore = pytest.mark.filterwarnings("ignore:LSTM with projections")


def test_pytorch_has_entries_for_all():
    assert len(INFOS) == 6


def samples(name, dtype, training, requires_grad=False):
    """For each sample: our module, PyTorch's with the same weights, and the arguments of a call."""
    info = INFOS[name]
    inputs = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=requires_grad, training=training)
    assert inputs
    for sample in inputs:
        arguments = sample.constructor_input
        plain = info.module_cls(*arguments.args, **arguments.kwargs)
        ours = getattr(nn, name)(*arguments.args, **arguments.kwargs)
        ours.load_state_dict(plain.state_dict())
        yield (
            ours.to(dtype).train(training), plain.to(dtype).train(training),
            (sample.forward_input.args, sample.forward_input.kwargs),
        )  # fmt: skip


def tensors(value):
    """All tensors in a nested result or argument."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for part in value for tensor in tensors(part)] if isinstance(value, (tuple, list)) else []


def results_and_gradients(module, args, kwargs):
    output = module(*args, **kwargs)
    leaves = [tensor for tensor in tensors((args, kwargs)) if tensor.requires_grad] + list(module.parameters())
    loss = sum(tensor.square().sum() for tensor in tensors(output))
    return output, torch.autograd.grad(loss, leaves, allow_unused=True)


def mapped(function, value):
    """``value`` with each tensor changed."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, PackedSequence):
        return value._replace(data=function(value.data))
    return type(value)(mapped(function, part) for part in value) if isinstance(value, (tuple, list)) else value


def strided(tensor):
    return torch.stack([tensor, tensor], dim=-1)[..., 0]


def transposed_memory(tensor):
    return tensor.transpose(0, -1).contiguous().transpose(0, -1)


@ignore
@pytest.mark.parametrize("change", [strided, transposed_memory])
@pytest.mark.parametrize("name", INFOS)
def test_arguments_that_are_not_contiguous(name, change):
    for ours, plain, (args, kwargs) in samples(name, torch.float64, True):
        args = [mapped(lambda tensor: change(tensor).detach().requires_grad_(), part) for part in args]
        expected = results_and_gradients(plain, args, kwargs)
        torch.testing.assert_close(results_and_gradients(ours, args, kwargs), expected)


@ignore
@pytest.mark.parametrize("name", INFOS)
def test_gradients_that_are_not_contiguous(name):
    for ours, plain, (args, kwargs) in samples(name, torch.float64, True):
        results = []
        for module in (ours, plain):
            outputs = [tensor for tensor in tensors(module(*args, **kwargs)) if tensor.requires_grad]
            torch.manual_seed(2)
            grads = [strided(torch.randn_like(output)) for output in outputs]
            results.append(torch.autograd.grad(outputs, list(module.parameters()), grads))
        torch.testing.assert_close(*results)


@ignore
@pytest.mark.parametrize("name", INFOS)
def test_memory_formats(name):
    formats = [torch.contiguous_format, torch.preserve_format]
    for ours, plain, (args, kwargs) in samples(name, torch.float32, False):
        for module_format in formats:
            ours.to(memory_format=module_format)
            for input_format in formats:
                call = [mapped(lambda tensor: tensor.clone(memory_format=input_format), part) for part in args]  # noqa: B023
                result, expected = tensors(ours(*call, **kwargs)), tensors(plain(*args, **kwargs))
                torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
                assert [value.is_contiguous() for value in result] == [value.is_contiguous() for value in expected]


@ignore
@pytest.mark.parametrize("name", INFOS)
def test_gradcheck_with_batched_gradients(name):
    for ours, _, (args, kwargs) in list(samples(name, torch.float64, True, requires_grad=True))[::3]:  # for speed
        if any(isinstance(part, PackedSequence) for part in args):
            continue  # gradcheck takes tensors alone
        names, parameters = zip(*ours.named_parameters(), strict=True)
        flat = [*tensors(args), *parameters]
        count = len(flat) - len(names)

        def run(*values, module=ours, args=args, kwargs=kwargs, names=names, count=count):
            inputs = iter(values[:count])
            call = [mapped(lambda _: next(inputs), part) for part in args]
            weights = dict(zip(names, values[count:], strict=True))
            return tuple(tensors(torch.func.functional_call(module, weights, tuple(call), kwargs)))

        flat = [value.detach().requires_grad_() for value in flat]
        assert torch.autograd.gradcheck(run, flat, check_batched_grad=True, fast_mode=True)


@ignore
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("name", INFOS)
def test_gradient_of_the_gradient(name):
    """On the first sample with a state and without."""
    for ours, plain, (args, kwargs) in list(samples(name, torch.float64, True))[:2]:
        results = []
        for module in (ours, plain):
            with torch.backends.mkldnn.flags(enabled=False):  # oneDNN's LSTM has no second derivative
                output = module(*args, **kwargs)
                loss = sum(tensor.square().sum() for tensor in tensors(output))
                parameters = list(module.parameters())
                grads = torch.autograd.grad(loss, parameters, create_graph=True)
                results.append(torch.autograd.grad(sum(grad.square().sum() for grad in grads), parameters))
        torch.testing.assert_close(*results)


@ignore
@pytest.mark.parametrize("name", INFOS)
def test_copies_and_pickles(name):
    for ours, _, (args, kwargs) in samples(name, torch.float32, False):
        expected = ours(*args, **kwargs)
        for clone in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
            torch.testing.assert_close(clone(*args, **kwargs), expected)


@ignore
@pytest.mark.parametrize("name", INFOS)
def test_meta_device(name):
    for ours, plain, (args, kwargs) in samples(name, torch.float32, False):
        shapes = {key: value.shape for key, value in plain.state_dict().items()}
        assert {key: value.shape for key, value in ours.to("meta").state_dict().items()} == shapes
        if not any(isinstance(part, PackedSequence) for part in args):
            call = [mapped(lambda tensor: tensor.to("meta"), part) for part in args]
            expected = plain.to("meta")(*call, **kwargs)
            assert [value.shape for value in tensors(ours(*call, **kwargs))] == [
                value.shape for value in tensors(expected)
            ]
        assert all(not value.is_meta for value in ours.to_empty(device="cpu").state_dict().values())


@ignore
@pytest.mark.parametrize("name", INFOS)
def test_device_and_dtype_of_the_constructor(name):
    for sample in INFOS[name].module_inputs_func(
        INFOS[name], device="cpu", dtype=torch.float32, requires_grad=False, training=True
    ):
        arguments = sample.constructor_input
        module = getattr(nn, name)(*arguments.args, **arguments.kwargs, device="meta", dtype=torch.float64)
        assert all(value.is_meta and value.dtype is torch.float64 for value in module.parameters())


@pytest.mark.parametrize("name", INFOS)
def test_errors_are_of_pytorchs_types(name):
    info, count = INFOS[name], 0
    for error in info.module_error_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=False, training=True
    ):
        arguments, call = error.module_error_input.constructor_input, error.module_error_input.forward_input
        with pytest.raises(UsageError) as caught:
            getattr(nn, name)(*arguments.args, **arguments.kwargs)(*call.args, **call.kwargs)
        # These entries pass the nonlinearity as ``bias``, which PyTorch's cells do not check. Ours refuse it at once.
        if not isinstance(arguments.args[2:] and arguments.args[2], str):
            assert isinstance(caught.value, error.error_type)
            count += 1
    assert count
