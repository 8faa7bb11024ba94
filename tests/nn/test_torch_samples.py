"""PyTorch's own samples of its recurrent modules run on ours, with the same results and gradients.

Metric and tolerance: relative RMS of 1e-12 in float64. In float32, against PyTorch in float64, 2e-6 or 1.5 times the
error of PyTorch's own float32 where that is larger: the samples are large numbers, which saturate every gate, and
1 - h² has few digits left there.
"""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence

from seriatim import nn

pytest.importorskip("expecttest")  # PyTorch's own tests want it
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_modules import module_db

OURS = {getattr(torch.nn, name): getattr(nn, name) for name in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")}
ENTRIES = [entry for entry in module_db if entry.module_cls in OURS]
DTYPES = [torch.float32, torch.float64]


def tensors(given):
    """Every tensor in what a module takes or returns, in order."""
    if isinstance(given, torch.Tensor):
        return [given]
    if isinstance(given, PackedSequence):
        return [given.data]
    return [one for each in given for one in tensors(each)] if isinstance(given, (tuple, list)) else []


def run(module, arguments, keywords):
    """Results, and gradients of arguments and parameters."""
    result = module(*arguments, **keywords)
    sum(one.square().sum() for one in tensors(result)).backward()
    leaves = [one for one in tensors(list(arguments) + list(keywords.values())) if one.is_leaf and one.requires_grad]
    return tensors(result), [one.grad for one in (*leaves, *module.parameters())]


def cast(given):
    """The same in float64, as new leaves."""
    if isinstance(given, torch.Tensor):
        return given.detach().double().requires_grad_(given.requires_grad) if given.is_leaf else given.double()
    if isinstance(given, PackedSequence):
        return given.to(torch.float64)
    return type(given)(cast(one) for one in given) if isinstance(given, (tuple, list)) else given


def error(found, right):
    return float((found - right).detach().norm() / right.detach().norm().clamp_min(1e-300))


def test_every_kind_has_samples():
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
        given = sample.forward_input
        doubled = [cast(one) for one in given.args], {name: cast(one) for name, one in given.kwargs.items()}
        found = []
        for module, (positional, named) in (
            (theirs, (given.args, given.kwargs)), (ours, (given.args, given.kwargs)), (exact, doubled),
        ):  # fmt: skip
            for one in tensors(list(positional) + list(named.values())):
                one.grad = None
            torch.manual_seed(3)  # dropout between layers
            results, grads = run(module.train(training), positional, named)
            found.append([*results, *grads])
        for wanted, got, right in zip(*found, strict=True):
            assert (wanted is None) == (got is None)
            if wanted is not None:
                assert got.dtype == wanted.dtype and got.shape == wanted.shape
                floor = 1e-12 if dtype == torch.float64 else 2e-6
                assert error(got, right) <= max(floor, 1.5 * error(wanted, right)), sample.desc
