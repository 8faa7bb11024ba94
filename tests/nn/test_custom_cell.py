"""User-written cells: layers of subclasses and of step functions, and refusals."""

from __future__ import annotations

import copy
import functools
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from seriatim.errors import UsageError
from seriatim.nn import Cell, GRUCell, Recurrent, Stream, cell, segment_runner

X = torch.zeros(7, 4, 3)


class Wrapped(Cell):
    """A built-in cell inside a user-written cell, so that the results can be compared with a built-in layer."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.inner = GRUCell(input_size, hidden_size)

    def forward(self, x, state):
        return (self.inner(x, *state),)


def indrnn(x, h, u):
    return torch.relu(x + u * h)


def read(x, w, b):
    return linear(x, w, b)


IndRNN = cell(indrnn, {"w": ("H", "I"), "u": ("H",), "b": ("H",)}, read=read)


def test_wrapped_gru_equals_the_gru_layer():
    from seriatim.nn import GRU

    built_in, custom = GRU(3, 5, 2, bidirectional=True), Recurrent(Wrapped, 3, 5, 2, bidirectional=True)
    names = {name: f"cell{name[name.index('_l') :]}.inner.{name[: name.index('_l')]}" for name in built_in.state_dict()}
    custom.load_state_dict({names[name]: value for name, value in built_in.state_dict().items()})
    x, starts = torch.randn(7, 4, 3), torch.rand(7, 4) < 0.2
    for value, reference in zip(
        built_in(x, lengths=[7, 2, 5, 5], reset=starts), custom(x, lengths=[7, 2, 5, 5], reset=starts), strict=True
    ):
        torch.testing.assert_close(value, reference)


def test_step_function_computes_its_equation():
    """Li 2018, (4): h_t = relu(W x_t + u ⊙ h_{t-1} + b), step by step in NumPy; float64 to 1e-12."""
    layer = Recurrent(IndRNN, 3, 5, dtype=torch.float64)
    w, u, b = (layer.get_parameter(f"cell_l0.{name}").detach().numpy() for name in "wub")
    x = np.random.default_rng(0).normal(size=(9, 2, 3))
    h, results = np.zeros((2, 5)), []
    for step in x:
        h = np.maximum(step @ w.T + u * h + b, 0)
        results.append(h)
    np.testing.assert_allclose(
        layer(torch.from_numpy(x))[0].detach().numpy(), np.stack(results), rtol=1e-12, atol=1e-12
    )


def test_single_steps_equal_the_layer():
    layer = Recurrent(IndRNN, 3, 5)
    x, state = torch.randn(6, 2, 3), None
    for step in x:
        state = layer.cell_l0.step(step, state)
    torch.testing.assert_close(state[0], layer(x)[1][0])


def test_parameter_names_and_seeds():
    layer = Recurrent(IndRNN, 3, 5, 2, bidirectional=True)
    assert [name for name, _ in layer.named_parameters()][:4] == [
        "cell_l0.w",
        "cell_l0.u",
        "cell_l0.b",
        "cell_l0_reverse.w",
    ]
    assert layer.cell_l1.w.shape == (5, 10) and layer.output_size == 10
    assert max(value.abs().max() for value in layer.parameters()) <= 5**-0.5
    draws = []
    for _ in range(2):
        torch.manual_seed(4)
        layer.reset_parameters()
        draws.append([value.clone() for value in layer.parameters()])
    assert all(torch.equal(value, reference) for value, reference in zip(*draws, strict=True))


def test_modules_in_a_cell_keep_their_own_initialisation():
    class Normed(Wrapped):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.norm = nn.LayerNorm(hidden_size)

    layer = Recurrent(Normed, 3, 5)
    layer.reset_parameters()
    assert torch.equal(layer.cell_l0.norm.weight, torch.ones(5))


def test_states_may_have_different_widths():
    class Wide(Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size, {"h": 2, "memory": 3 * hidden_size})
            self.w = nn.Parameter(torch.empty(3 * hidden_size, input_size))
            self.reset_parameters()

        def forward(self, x, state):
            memory = 0.9 * state[1] + linear(x, self.w)
            return memory[:, :2], memory

    layer = Recurrent(Wide, 3, 5, 2)
    output, (h, memory) = layer(X, lengths=[7, 2, 5, 1])
    assert output.shape == (7, 4, 2) and h.shape == (2, 4, 2) and memory.shape == (2, 4, 15)
    assert layer.cell_l1.input_size == 2


def test_states_stay_float32_under_autocast():
    layer = Recurrent(IndRNN, 3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(7, 4, 3))[1].dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cell(indrnn, {}), "weights: got none, wanted 'u' as well"),
        (lambda: cell(indrnn, {"u": ("H",), "w": ("H", "I")}), "weights: 'w' is named by no function, wanted u"),
        (lambda: cell(indrnn, {"u": ("2X",)}), "weights: 'u' has '2X' in its shape, wanted a size, I, H or as 2H"),
        (lambda: Recurrent(GRUCell, 3, 5), "maker: made GRUCell, wanted a seriatim.nn.Cell"),
        (lambda: Recurrent(IndRNN, 3, 0), "hidden_size: got 0, wanted a whole number of at least 1"),
        (lambda: Recurrent(IndRNN, 3, 5)(X[..., :2]), "input: got [7, 4, 2], wanted input_size 3 in the last axis"),
        (lambda: Recurrent(IndRNN, 3, 5)(X, (X, X)), "hx: got tuple of 2, wanted one tensor h"),
        (lambda: Recurrent(IndRNN, 3, 5)(X, return_states="h"), "return_states: got 'h', wanted None or 'all'"),
        (
            lambda: Stream(Recurrent(IndRNN, 3, 5, bidirectional=True)),
            "layer: got a bidirectional one, wanted one that does not read from the end",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(UsageError) as refused:
        make()
    assert str(refused.value) == message


@pytest.fixture
def two_steps_per_segment(monkeypatch):
    """Short segments, so that there is little to compile."""
    monkeypatch.setattr(segment_runner, "STEPS", 2)


MASKED = {"lengths": [5, 2, 4], "reset": torch.rand(5, 3) < 0.3, "reverse": True}


@pytest.mark.parametrize(("backend", "options"), [("inductor", {}), ("aot_eager", MASKED)], ids=["plain", "masked"])
def test_compiled_layer_equals_plain_layer(two_steps_per_segment, monkeypatch, backend, options):
    """Output and gradients in float64 to 1e-12: the same sums in another order. Only one case compiles C++."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    plain = Recurrent(IndRNN, 3, 4, dtype=torch.float64)
    fast = Recurrent(IndRNN, 3, 4, dtype=torch.float64, compile=True)
    fast.load_state_dict(plain.state_dict())
    x = torch.randn(5, 3, 3, dtype=torch.float64, requires_grad=True)
    results = []
    for layer in (plain, fast):
        output, final = layer(x, **options)
        loss = (output**2).sum() + final.sin().sum()
        results.append([output, final, *torch.autograd.grad(loss, [x, *layer.parameters()])])
    assert fast._runners[0].is_compiled, "the layer fell back to plain steps"
    for value, reference in zip(*results, strict=True):
        torch.testing.assert_close(value, reference, rtol=1e-12, atol=1e-12)
    assert copy.deepcopy(fast)._runners[0]._compiled_segment is None


def test_failing_compiler_gives_one_warning_and_plain_steps(two_steps_per_segment, monkeypatch):
    def broken(*given, **options):
        def run(*arguments):
            raise RuntimeError("no compiler here")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    plain, fast = Recurrent(IndRNN, 3, 4), Recurrent(IndRNN, 3, 4, compile=True)
    fast.load_state_dict(plain.state_dict())
    with pytest.warns(UserWarning, match="StepCell runs step by step, since torch.compile failed: Runt"):
        output = fast(X)[0]
    assert torch.equal(output, plain(X)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast(X)


def test_error_of_the_cell_is_raised_unchanged(two_steps_per_segment):
    layer = Recurrent(cell(lambda x, h, w: x @ w, {"w": ("H", "H")}), 3, 4, compile=True)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        layer(X)
    assert layer._runners[0].is_compiled
