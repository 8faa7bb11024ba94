"""The layers and cells compute the same as PyTorch's, in every form of input that PyTorch has.

Metric: relative RMS, √(Σ(a - b)² / Σb²), for each of: output, final states, and the gradients of the input, of the
first states and of every parameter.

Tolerance in float64: 1e-12. Both layers multiply the same numbers, but they group the steps of unequal rows
differently, so sums of up to a few hundred terms are taken in another order.

Tolerance in float32: both layers are compared with PyTorch's layer in float64. Ours may be off by 2e-6, or by 1.5 times
the error of PyTorch's float32 layer where that is larger. A gradient can be a sum whose terms nearly cancel. The
gradient of a projected LSTM's h_0 after nine steps has a norm of 0.01, and on an AMD Zen 5 PyTorch's own float32 layer
is off there by 2.4e-6 (ours by 4e-7).
"""

from __future__ import annotations

import copy
import itertools
import warnings

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from seriatim import nn

FLOAT32_TOLERANCE = 2e-6
BFLOAT16_TOLERANCE = 3e-2
"""bfloat16 has 8 significant bits, so one rounding is off by up to 2⁻⁸ = 4e-3; nine steps stay within 3e-2."""
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


def relative_rms(value, reference):
    return float((value - reference).double().norm() / reference.double().norm().clamp_min(1e-300))


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def layer_pair(kind, dtype, **options):
    """PyTorch's layer and ours with the same weights."""
    name, variant = KINDS[kind]
    torch.manual_seed(5)
    theirs = getattr(torch.nn, name)(5, 17, dtype=dtype, **variant, **options)
    ours = getattr(nn, name)(5, 17, dtype=dtype, **variant, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def first_state(layer, rows, dtype):
    """A random h_0, or (h_0, c_0), that requires gradients."""
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    shape = (count, rows) if rows else (count,)
    h = torch.randn(*shape, layer.proj_size or layer.hidden_size, dtype=dtype, requires_grad=True)
    if not isinstance(layer, torch.nn.LSTM):
        return h
    return h, torch.randn(*shape, layer.hidden_size, dtype=dtype, requires_grad=True)


def results_and_gradients(layer, to_input, x, state=None):
    """Run ``layer`` on ``to_input(x)``: output, final states, and the gradients of x, first states and parameters."""
    inputs = [x, *(() if state is None else as_tuple(state))]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections")  # PyTorch says so once per process
        output, final = layer(to_input(x), state)
    if isinstance(output, PackedSequence):
        output = output.data
    results = [output, *as_tuple(final)]
    loss = sum((result * result.detach().cos()).sum() for result in results)
    gradients = torch.autograd.grad(loss, [*inputs, *layer.parameters()])
    return [value.detach() for value in (*results, *gradients)]


def errors(values, references):
    return [relative_rms(value, reference) for value, reference in zip(values, references, strict=True)]


def to_double(state):
    """A copy of a state in float64; None stays None."""
    if isinstance(state, tuple):
        return tuple(map(to_double, state))
    return None if state is None else state.detach().double().requires_grad_()


def assert_close_to_pytorch(theirs, ours, to_input, x, state=None):
    """Compare outputs and gradients as the module's docstring says."""
    our_results = results_and_gradients(ours, to_input, x, state)
    if x.dtype == torch.float64:
        our_errors = errors(our_results, results_and_gradients(theirs, to_input, x, state))
        assert max(our_errors) < 1e-12, our_errors
        return
    exact = results_and_gradients(copy.deepcopy(theirs).double(), to_input, to_double(x), to_double(state))
    our_errors = errors(our_results, exact)
    their_errors = errors(results_and_gradients(theirs, to_input, x, state), exact)
    limits = [max(FLOAT32_TOLERANCE, 1.5 * error) for error in their_errors]
    assert all(error < limit for error, limit in zip(our_errors, limits, strict=True)), (our_errors, limits)


def unchanged(x):
    return x


def packed(x):
    return pack_padded_sequence(x, torch.tensor([9, 4, 1]))


def packed_unsorted(x):
    return pack_padded_sequence(x, torch.tensor([4, 9, 1]), enforce_sorted=False)


FORMS = {
    "padded": ((9, 3, 5), unchanged),
    "batch_first": ((3, 9, 5), unchanged),
    "unbatched": ((9, 5), unchanged),
    "packed": ((9, 3, 5), packed),
    "packed unsorted": ((9, 3, 5), packed_unsorted),
}
"""For each form of input: the shape of a tensor, and the function that turns the tensor into the input."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_layers_equal_pytorchs(kind, stack, form, dtype):
    theirs, ours = layer_pair(kind, dtype, batch_first=form == "batch_first", **stack)
    shape, to_input = FORMS[form]
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    for state in (None, first_state(theirs, 0 if form == "unbatched" else 3, dtype)):
        assert_close_to_pytorch(theirs, ours, to_input, x, state)


@pytest.mark.parametrize("sizes", list(itertools.product([1, 33], [1, 17], [1, 3], [1, 33])), ids=str)
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_awkward_sizes(kind, sizes):
    steps, rows, inputs, hidden = sizes
    name, _ = KINDS[kind]
    torch.manual_seed(5)
    theirs, ours = getattr(torch.nn, name)(inputs, hidden), getattr(nn, name)(inputs, hidden)
    ours.load_state_dict(theirs.state_dict())
    assert_close_to_pytorch(theirs, ours, unchanged, torch.randn(steps, rows, inputs, requires_grad=True))


def output_error(theirs, ours, to_input, x):
    """How far our output is from PyTorch's."""
    our_output, *_ = results_and_gradients(ours, to_input, x)
    their_output, *_ = results_and_gradients(theirs, to_input, x)
    return relative_rms(our_output, their_output)


@pytest.mark.parametrize("form", ["padded", "packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_weight_is_noticed(kind, form):
    """The tests above can fail: one recurrent weight that is off by 0.02 moves the output by ten tolerances."""
    theirs, ours = layer_pair(kind, torch.float32)
    with torch.no_grad():
        ours.weight_hh_l0[3, 1] += 2e-2
    shape, to_input = FORMS[form]
    x = torch.randn(shape, requires_grad=True)
    error = output_error(theirs, ours, to_input, x)
    assert error > 10 * FLOAT32_TOLERANCE, error
    with pytest.raises(AssertionError):
        assert_close_to_pytorch(theirs, ours, to_input, x)


@pytest.mark.parametrize("kind", ["lstm", "projected", "gru"])
def test_swapped_gates_are_noticed(kind):
    theirs, ours = layer_pair(kind, torch.float32)
    gates = len(ours.spec.gates)
    for first, second in itertools.combinations(range(gates), 2):
        order = list(range(gates))
        order[first], order[second] = second, first
        ours.load_state_dict({
            name: value if "_hr_" in name else torch.cat([value.chunk(gates)[block] for block in order])
            for name, value in theirs.state_dict().items()
        })  # fmt: skip
        assert output_error(theirs, ours, unchanged, torch.randn(9, 3, 5, requires_grad=True)) > 1e-3


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_gives_pytorchs_weights_and_names(kind, stack):
    name, variant = KINDS[kind]
    states = []
    for package in (torch.nn, nn):
        torch.manual_seed(11)
        states.append(getattr(package, name)(5, 17, **variant, **stack).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_draws_pytorchs_masks(kind):
    """The outputs differ by rounding only if the masks are the same."""
    theirs, ours = layer_pair(kind, torch.float64, num_layers=3, dropout=0.4, bidirectional=True)
    x = torch.randn(6, 3, 5, dtype=torch.float64)
    outputs = []
    for layer in (ours, theirs):
        torch.manual_seed(2)
        outputs.append(layer(x)[0].detach())
    assert relative_rms(*outputs) < 1e-12
    assert relative_rms(ours(x)[0].detach(), outputs[1]) > 1e-2  # the next call draws another mask
    assert torch.equal(ours.eval()(x)[0], ours(x)[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_dropout_over_packed_rows_draws_pytorchs_masks(kind, dtype):
    """bfloat16 leaves the fast path in training. Other masks would differ by 0.027 or more."""
    theirs, ours = layer_pair(kind, dtype, num_layers=3, dropout=0.4, bidirectional=True)
    packed = pack_padded_sequence(torch.randn(6, 3, 5, dtype=dtype), [4, 6, 2], enforce_sorted=False)
    outputs = []
    for layer in (ours, theirs):
        torch.manual_seed(2)
        outputs.append(layer(packed)[0].data.detach().double())
    assert relative_rms(*outputs) < (1e-12 if dtype is torch.float64 else 1e-2)
    assert relative_rms(ours(packed)[0].data.detach().double(), outputs[1]) > 2e-2  # the next call draws other masks


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(), (1,), (3,)], ids=str)
@pytest.mark.parametrize("kind", ["rnn", "relu", "lstm", "gru"])
def test_cells_equal_pytorchs(kind, rows, bias):
    name, variant = KINDS[kind]
    theirs = getattr(torch.nn, name + "Cell")(5, 17, bias=bias, **variant)
    ours = getattr(nn, name + "Cell")(5, 17, bias=bias, **variant)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(*rows, 5)
    state = tuple(torch.randn(*rows, 17) for _ in ours.spec.states)
    for hx in (None, state if len(state) > 1 else state[0]):
        for our_state, their_state in zip(as_tuple(ours(x, hx)), as_tuple(theirs(x, hx)), strict=True):
            assert our_state.shape == their_state.shape
            assert relative_rms(our_state.detach(), their_state.detach()) < FLOAT32_TOLERANCE


@pytest.mark.parametrize("kind", ["rnn", "relu", "lstm", "gru"])
def test_same_seed_gives_pytorchs_cells(kind):
    name, variant = KINDS[kind]
    states = []
    for package in (torch.nn, nn):
        torch.manual_seed(11)
        states.append(getattr(package, name + "Cell")(5, 17, **variant).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("lengths", [None, [9, 4, 1]], ids=["padded", "lengths"])
@pytest.mark.parametrize("kind", [*KINDS, "sigmoid"])
def test_autocast_to_bfloat16(kind, lengths):
    """The result is within BFLOAT16_TOLERANCE of float32, and gradients are finite.

    An implementation may compute more precisely than bfloat16.
    """
    name, variant = KINDS.get(kind, ("RNN", {"nonlinearity": "sigmoid"}))
    torch.manual_seed(5)
    layer = getattr(nn, name)(5, 17, **variant, num_layers=2, bidirectional=True)
    x = torch.randn(9, 3, 5)
    exact, exact_final = layer(x, lengths=lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, final = layer(x, lengths=lengths)
    for value, reference in zip([output, *as_tuple(final)], [exact, *as_tuple(exact_final)], strict=True):
        assert relative_rms(value.detach().double(), reference.detach().double()) < BFLOAT16_TOLERANCE
    output.float().square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in layer.parameters())


def dtypes(output, final):
    output = output.data if isinstance(output, PackedSequence) else output
    return [value.dtype for value in (output, *as_tuple(final))]


@pytest.mark.parametrize("to_input", [unchanged, packed], ids=["padded", "packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_autocast_gives_pytorchs_dtypes(kind, to_input):
    """Where the processor has no bfloat16 arithmetic, PyTorch's padded LSTM refuses to run under autocast.

    Our layer runs there. It is then compared with PyTorch's layer in float64, and gives the dtype that PyTorch's LSTM
    gives elsewhere, bfloat16.
    """
    theirs, ours = layer_pair(kind, torch.float32)
    x = torch.randn(9, 3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections")
        our_results = ours(to_input(x))
        try:
            their_results = theirs(to_input(x))
        except RuntimeError as error:
            assert kind == "lstm" and "could not create a primitive" in str(error)
            their_results = None
    if their_results is not None:
        assert dtypes(*our_results) == dtypes(*their_results)
        return
    output, final = our_results
    exact, exact_final = theirs.double()(to_input(x.double()))
    for value, reference in zip([output, *final], [exact, *exact_final], strict=True):
        assert value.dtype == torch.bfloat16
        assert relative_rms(value.detach().double(), reference.detach()) < BFLOAT16_TOLERANCE
