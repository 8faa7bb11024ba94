"""The entries of PyTorch's own module tests for recurrent layers and cells, with our classes in place.

``torch.testing._internal`` carries the inputs and the errors. Results and gradients are compared with PyTorch's module.
"""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.testing._internal.common_modules import module_db

from seriatim import nn
from seriatim.errors import UsageError

INFOS = {
    info.module_cls.__name__: info
    for info in module_db
    if info.module_cls.__name__ in ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
}
DTYPES = [torch.float32, torch.float64]
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
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for part in value for tensor in tensors(part)] if isinstance(value, (tuple, list)) else []


@ignore
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", INFOS)
def test_forward_and_gradients(name, dtype, training):
    for ours, plain, (args, kwargs) in samples(name, dtype, training, requires_grad=True):
        results = []
        for module in (ours, plain):
            output = module(*args, **kwargs)
            leaves = [tensor for tensor in tensors((args, kwargs)) if tensor.requires_grad] + list(module.parameters())
            loss = sum(tensor.square().sum() for tensor in tensors(output))
            results.append((output, torch.autograd.grad(loss, leaves, allow_unused=True)))
        # float32: sums of some hundred terms of size 1 in another order; float64 shows that the formulas agree.
        close = {"rtol": 1e-4, "atol": 1e-4} if dtype is torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
        torch.testing.assert_close(*results, **close)


@ignore
@pytest.mark.parametrize("name", INFOS)
def test_strided_arguments(name):
    def strided(tensor):
        return torch.stack([tensor, tensor], dim=-1)[..., 0]

    for ours, plain, (args, kwargs) in samples(name, torch.float64, True):
        args = [tuple(map(strided, part)) if isinstance(part, tuple) else strided(part) for part in args]
        torch.testing.assert_close(ours(*args, **kwargs), plain(*args, **kwargs))


@ignore
@pytest.mark.parametrize("name", INFOS)
def test_copies_and_pickles(name):
    for ours, _, (args, kwargs) in samples(name, torch.float32, False):
        expected = ours(*args, **kwargs)
        for clone in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
            torch.testing.assert_close(clone(*args, **kwargs), expected)


@pytest.mark.parametrize("name", INFOS)
def test_meta_device(name):
    for ours, plain, _ in samples(name, torch.float32, False):
        shapes = {key: value.shape for key, value in plain.state_dict().items()}
        assert {key: value.shape for key, value in ours.to("meta").state_dict().items()} == shapes


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
