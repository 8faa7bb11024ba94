"""The layers and cells compute what PyTorch's compute, in every form that PyTorch has.

Metric: relative RMS, √(Σ(a - b)² / Σb²), of each of: output, final states, and the gradients of input, first states
and every parameter. Tolerance: 2e-6 in float32 and 1e-12 in float64: both run the same products on the same numbers,
but where lengths differ the steps are grouped otherwise, so sums of up to a few hundred terms are taken in another
order. At awkward sizes a gradient may be a single sum that all but cancels, so there both are held against PyTorch's
layer in float64, and ours may be as far off as 1.5 times PyTorch's own.
"""

from __future__ import annotations

import copy
import itertools
import warnings

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from seriatim import nn

TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-12}
KINDS = {
    "rnn": ("RNN", {}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "projected": ("LSTM", {"proj_size": 3}),
    "gru": ("GRU", {}),
}
STACKS = {
    "one": {},
    "bias-free": {"bias": False},
    "bidirectional": {"bidirectional": True},
    "stacked": {"num_layers": 3},
    "both": {"num_layers": 2, "bidirectional": True},
}


def relative_rms(found, wanted):
    return float((found - wanted).double().norm() / wanted.double().norm().clamp_min(1e-300))


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def twins(kind, dtype, **options):
    """PyTorch's module and ours with the same weights."""
    name, variant = KINDS[kind]
    torch.manual_seed(5)
    theirs = getattr(torch.nn, name)(5, 17, dtype=dtype, **variant, **options)
    ours = getattr(nn, name)(5, 17, dtype=dtype, **variant, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def first_state(layer, rows, dtype):
    """h_0, or (h_0, c_0), that asks for gradients."""
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    shape = (count, rows) if rows else (count,)
    h = torch.randn(*shape, layer.proj_size or layer.hidden_size, dtype=dtype, requires_grad=True)
    if not isinstance(layer, torch.nn.LSTM):
        return h
    return h, torch.randn(*shape, layer.hidden_size, dtype=dtype, requires_grad=True)


def everything(layer, make, x, state, wanted):
    """``layer`` on ``make(x)``: output, final states, and the gradients of ``wanted`` and of all parameters."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections")  # PyTorch says so once per process
        output, final = layer(make(x), state)
    if isinstance(output, PackedSequence):
        output = output.data
    results = [output, *as_tuple(final)]
    loss = sum((one * one.detach().cos()).sum() for one in results)
    return [*results, *torch.autograd.grad(loss, [*wanted, *layer.parameters()])]


def errors(theirs, ours, make, x, state=None):
    wanted = [x, *(() if state is None else as_tuple(state))]
    pairs = zip(everything(ours, make, x, state, wanted), everything(theirs, make, x, state, wanted), strict=True)
    return [relative_rms(found.detach(), right.detach()) for found, right in pairs]


def as_it_is(x):
    return x


def packed(x):
    return pack_padded_sequence(x, torch.tensor([9, 4, 1]))


def packed_unsorted(x):
    return pack_padded_sequence(x, torch.tensor([4, 9, 1]), enforce_sorted=False)


FORMS = {
    "padded": ((9, 3, 5), as_it_is),
    "batch_first": ((3, 9, 5), as_it_is),
    "unbatched": ((9, 5), as_it_is),
    "packed": ((9, 3, 5), packed),
    "packed unsorted": ((9, 3, 5), packed_unsorted),
}
"""The shape of a tensor, and how PyTorch's input is made of it."""


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_pytorchs(kind, stack, form, dtype):
    theirs, ours = twins(kind, dtype, batch_first=form == "batch_first", **stack)
    shape, make = FORMS[form]
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    for state in (None, first_state(theirs, 0 if form == "unbatched" else 3, dtype)):
        found = errors(theirs, ours, make, x, state)
        assert max(found) < TOLERANCE[dtype], found


@pytest.mark.parametrize("sizes", list(itertools.product([1, 33], [1, 17], [1, 3], [1, 33])), ids=str)
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_awkward_sizes(kind, sizes):
    steps, rows, inputs, hidden = sizes
    name, _ = KINDS[kind]
    torch.manual_seed(5)
    theirs, ours = getattr(torch.nn, name)(inputs, hidden), getattr(nn, name)(inputs, hidden)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(steps, rows, inputs, requires_grad=True)
    exact, exact_x = copy.deepcopy(theirs).double(), x.detach().double().requires_grad_()
    right = everything(exact, as_it_is, exact_x, None, [exact_x])
    found, usual = (
        [relative_rms(one.detach(), other.detach()) for one, other in zip(results, right, strict=True)]
        for results in (everything(layer, as_it_is, x, None, [x]) for layer in (ours, theirs))
    )
    allowed = [max(TOLERANCE[torch.float32], 1.5 * error) for error in usual]
    assert all(error < most for error, most in zip(found, allowed, strict=True)), (found, allowed)


@pytest.mark.parametrize("form", ["padded", "packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_weight_would_be_seen(kind, form):
    """The tests above can fail: one recurrent weight off by 0.02 moves the output by ten tolerances."""
    theirs, ours = twins(kind, torch.float32)
    with torch.no_grad():
        ours.weight_hh_l0[3, 1] += 2e-2
    shape, make = FORMS[form]
    found = errors(theirs, ours, make, torch.randn(shape, requires_grad=True))
    assert found[0] > 10 * TOLERANCE[torch.float32], found


@pytest.mark.parametrize("kind", ["lstm", "projected", "gru"])
def test_swapped_gates_would_be_seen(kind):
    theirs, ours = twins(kind, torch.float32)
    gates = len(ours.spec.gates)
    for one, other in itertools.combinations(range(gates), 2):
        order = list(range(gates))
        order[one], order[other] = other, one
        ours.load_state_dict({
            name: value if "_hr_" in name else torch.cat([value.chunk(gates)[block] for block in order])
            for name, value in theirs.state_dict().items()
        })  # fmt: skip
        assert errors(theirs, ours, as_it_is, torch.randn(9, 3, 5, requires_grad=True))[0] > 1e-3


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_pytorchs_weights_under_pytorchs_names(kind, stack):
    name, variant = KINDS[kind]
    states = []
    for home in (torch.nn, nn):
        torch.manual_seed(11)
        states.append(getattr(home, name)(5, 17, **variant, **stack).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_draws_pytorchs_mask(kind):
    """Exactly: the layers above and below differ by rounding only if the masks are the same."""
    theirs, ours = twins(kind, torch.float64, num_layers=3, dropout=0.4, bidirectional=True)
    x = torch.randn(6, 3, 5, dtype=torch.float64)
    outputs = []
    for layer in (ours, theirs):
        torch.manual_seed(2)
        outputs.append(layer(x)[0].detach())
    assert relative_rms(*outputs) < 1e-12
    assert relative_rms(ours(x)[0].detach(), outputs[1]) > 1e-2  # another mask
    assert torch.equal(ours.eval()(x)[0], ours(x)[0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(), (1,), (3,)], ids=str)
@pytest.mark.parametrize("kind", ["rnn", "relu", "lstm", "gru"])
def test_cells_are_pytorchs(kind, rows, bias):
    name, variant = KINDS[kind]
    theirs = getattr(torch.nn, name + "Cell")(5, 17, bias=bias, **variant)
    ours = getattr(nn, name + "Cell")(5, 17, bias=bias, **variant)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(*rows, 5)
    state = tuple(torch.randn(*rows, 17) for _ in ours.spec.states)
    for hx in (None, state if len(state) > 1 else state[0]):
        for found, right in zip(as_tuple(ours(x, hx)), as_tuple(theirs(x, hx)), strict=True):
            assert found.shape == right.shape
            assert relative_rms(found.detach(), right.detach()) < TOLERANCE[torch.float32]


@pytest.mark.parametrize("kind", ["rnn", "relu", "lstm", "gru"])
def test_the_same_seed_gives_pytorchs_cells(kind):
    name, variant = KINDS[kind]
    states = []
    for home in (torch.nn, nn):
        torch.manual_seed(11)
        states.append(getattr(home, name + "Cell")(5, 17, **variant).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("lengths", [None, [9, 4, 1]], ids=["padded", "lengths"])
@pytest.mark.parametrize("kind", [*KINDS, "sigmoid"])
def test_autocast_to_bfloat16(kind, lengths):
    """bfloat16 keeps 8 bits, 4e-3 per rounding; nine steps stay within 3e-2, and PyTorch's own layer does no better.

    An implementation may compute more precisely than it is asked to.
    """
    name, variant = KINDS.get(kind, ("RNN", {"nonlinearity": "sigmoid"}))
    torch.manual_seed(5)
    layer = getattr(nn, name)(5, 17, **variant, num_layers=2, bidirectional=True)
    x = torch.randn(9, 3, 5)
    exact, final = layer(x, lengths=lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, ended = layer(x, lengths=lengths)
    for found, right in zip([rough, *as_tuple(ended)], [exact, *as_tuple(final)], strict=True):
        assert relative_rms(found.detach().double(), right.detach().double()) < 3e-2
    rough.float().square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_gives_pytorchs_dtypes(kind):
    theirs, ours = twins(kind, torch.float32)
    x = torch.randn(4, 3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections")
        (found, state), (right, wanted) = ours(x), theirs(x)
    assert found.dtype == right.dtype
    assert [one.dtype for one in as_tuple(state)] == [one.dtype for one in as_tuple(wanted)]


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_gives_pytorchs_dtypes_to_packed_sequences(kind):
    theirs, ours = twins(kind, torch.float32)
    given = pack_padded_sequence(torch.randn(4, 3, 5), torch.tensor([4, 2, 1]))
    with torch.autocast("cpu", dtype=torch.bfloat16), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections")
        (found, state), (right, wanted) = ours(given), theirs(given)
    assert found.data.dtype == right.data.dtype
    assert [one.dtype for one in as_tuple(state)] == [one.dtype for one in as_tuple(wanted)]
