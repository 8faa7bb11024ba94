"""PyTorch's own test samples of its recurrent modules give the same results and gradients with Seriatim's.

Metric and tolerance: relative RMS of 1e-12 in float64. In float32, against PyTorch in float64, 2e-6 or 1.5 times the
error of PyTorch's own float32 where that is larger: the samples are large numbers, which saturate all gates, and
1 - h² has few significant digits there.
"""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence

from seriatim import nn

pytest.importorskip("expecttest")  # PyTorch's own tests need it
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_modules import module_db

OURS = {getattr(torch.nn, name): getattr(nn, name) for name in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")}
ENTRIES = [entry for entry in module_db if entry.module_cls in OURS]
DTYPES = [torch.float32, torch.float64]


def tensors(values):
    """All tensors in the arguments or results of a module, in order."""
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, PackedSequence):
        return [values.data]
    return [value for item in values for value in tensors(item)] if isinstance(values, (tuple, list)) else []


def run(module, arguments, keywords):
    """Results, and gradients of arguments and parameters."""
    result = module(*arguments, **keywords)
    sum(value.square().sum() for value in tensors(result)).backward()
    leaves = [
        value for value in tensors(list(arguments) + list(keywords.values())) if value.is_leaf and value.requires_grad
    ]
    return tensors(result), [value.grad for value in (*leaves, *module.parameters())]


def cast(values):
    """The same values in float64, as new leaves."""
    if isinstance(values, torch.Tensor):
        return values.detach().double().requires_grad_(values.requires_grad) if values.is_leaf else values.double()
    if isinstance(values, PackedSequence):
        return values.to(torch.float64)
    return type(values)(cast(value) for value in values) if isinstance(values, (tuple, list)) else values


def error(all_results, exact_value):
    return float((all_results - exact_value).detach().norm() / exact_value.detach().norm().clamp_min(1e-300))


def test_all_modules_have_samples():
    assert {entry.module_cls for entry in ENTRIES} == set(OURS)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_samples(entry, dtype, training):
    samples = entry.module_inputs_func(entry, device="cpu", dtype=dtype, requires_grad=True, training=training)
    assert samples
    for sample in samples:
        torch.manual_seed(2)
        arguments, keywords = sample.constructor_input.args, sample.constructor_input.kwargs
        theirs = entry.module_cls(*arguments, **keywords, dtype=dtype)
        ours = OURS[entry.module_cls](*arguments, **keywords, dtype=dtype)
        ours.load_state_dict(theirs.state_dict())
        exact = copy.deepcopy(theirs).double()
        values = sample.forward_input
        exact_inputs = (
            [cast(value) for value in values.args],
            {name: cast(value) for name, value in values.kwargs.items()},
        )
        all_results = []
        for module, (positional, named) in (
            (theirs, (values.args, values.kwargs)), (ours, (values.args, values.kwargs)), (exact, exact_inputs),
        ):  # fmt: skip
            for value in tensors(list(positional) + list(named.values())):
                value.grad = None
            torch.manual_seed(3)  # dropout between layers
            results, grads = run(module.train(training), positional, named)
            all_results.append([*results, *grads])
        for their_value, our_value, exact_value in zip(*all_results, strict=True):
            assert (their_value is None) == (our_value is None)
            if their_value is not None:
                assert our_value.dtype == their_value.dtype and our_value.shape == their_value.shape
                floor = 1e-12 if dtype == torch.float64 else 2e-6
                assert error(our_value, exact_value) <= max(floor, 1.5 * error(their_value, exact_value)), sample.desc
