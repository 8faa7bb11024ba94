"""``check_cell`` accepts correct cells and names each law that a wrong cell breaks."""

from __future__ import annotations

import random
import re

import pytest
import torch
from torch import nn

from seriatim.errors import UsageError
from seriatim.nn import Cell, GRUCell, cell, check_cell
from seriatim.nn.cell_laws import LAWS


class Correct(Cell):
    """h_t = tanh(x_t W + h_{t-1} U), which the wrong cells change."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.w = nn.Parameter(torch.empty(input_size, hidden_size))
        self.u = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.reset_parameters()

    def read(self, x):
        return x @ self.w

    def forward(self, x, state):
        return (torch.tanh(x + state[0] @ self.u),)


class SeesPreviousInput(Correct):
    def read(self, x):
        return x @ self.w + torch.cat([torch.zeros_like(x[:1]), x[:-1]]) @ self.w


class MixesRows(Correct):
    def forward(self, x, state):
        return (torch.tanh(x + state[0].mean(0) @ self.u),)


class SeesPadding(Correct):
    """Padding is zeros when it reaches a cell, but the cell counts the steps."""

    def read(self, x):
        return x @ self.w / x.shape[0]


class CutsGradient(Correct):
    def forward(self, x, state):
        return (torch.tanh(x + state[0].detach() @ self.u),)


class DoublesGradient(Correct):
    def forward(self, x, state):
        h = torch.tanh(x + state[0] @ self.u)
        return (2 * h - h.detach(),)


class HidesWeight(Correct):
    """A weight that is no parameter and no buffer is not in the state_dict."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.scale = torch.rand(hidden_size)

    def forward(self, x, state):
        return (self.scale * torch.tanh(x + state[0] @ self.u),)


class DrawsElsewhere(Correct):
    """Noise from a generator that PyTorch's seed does not reach."""

    generator = random.Random(5)

    def forward(self, x, state):
        noise = self.generator.random() if self.training else 0.0
        return (torch.tanh(x + state[0] @ self.u + noise),)


class StartsFromOnes(Correct):
    """Takes the first state of a call for the start, whatever the state is."""

    def forward(self, x, state):
        h = torch.where((state[0] == 0).all(), 1.0, state[0]) if self.calls == 0 else state[0]
        self.calls += 1
        return (torch.tanh(x + h @ self.u),)

    def read(self, x):
        self.calls = 0
        return super().read(x)


def two_states(x, h, c, w, u):
    c = 0.5 * c + torch.tanh(x @ w.T + u * h)
    return torch.sin(c), c


@pytest.mark.parametrize(
    "maker",
    [
        Correct,
        cell(two_states, {"w": ("H", "I"), "u": ("H",)}, states=("h", "c")),
        cell(lambda x, h, w, u: torch.relu(x @ w.T + u * h), {"w": ("H", "I"), "u": ("H",)}),
    ],
    ids=["class", "two states", "relu"],
)
@pytest.mark.parametrize("sizes", [(), (1, 1), (5, 17)], ids=str)
def test_correct_cells_keep_all_laws(maker, sizes):
    state = torch.random.get_rng_state()
    check_cell(maker, *sizes)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("maker", "laws"),
    [
        (SeesPreviousInput, {"split run", "reset"}),
        (MixesRows, {"rows"}),
        (SeesPadding, {"split run", "padding", "reset"}),
        (CutsGradient, {"gradient"}),
        (DoublesGradient, {"gradient"}),
        (HidesWeight, {"saving"}),
        (DrawsElsewhere, {"seed"}),
        (StartsFromOnes, {"reset"}),
    ],
)
def test_broken_laws_are_named(maker, laws):
    with pytest.raises(UsageError) as raised:
        check_cell(maker)
    first, *lines = str(raised.value).split("\n")
    count = f"{len(laws)} law{'s' if len(laws) > 1 else ''} of 7"
    assert first == f"maker: {maker.__name__} breaks {count}"
    assert {line.partition(":")[0].strip() for line in lines} == laws
    for line in lines:
        name, difference, tolerance = re.fullmatch(r"  ([a-z ]+): .+; difference (.+), tolerance (.+)", line).groups()
        assert LAWS[name].statement in line
        assert float(tolerance) == LAWS[name].tolerance < 1e-4 < float(difference)


def test_each_law_is_broken_by_a_cell_above():
    (mark,) = test_broken_laws_are_named.pytestmark
    assert set.union(*(laws for _, laws in mark.args[1])) == set(LAWS)


def test_a_state_that_is_not_a_number_breaks_laws():
    class Divides(Correct):
        def forward(self, x, state):
            return (x / torch.zeros_like(x) * 0 + state[0],)

    with pytest.raises(UsageError, match="difference nan"):
        check_cell(Divides)


class ReturnsTensor(Correct):
    def forward(self, x, state):
        return super().forward(x, state)[0]


class ReturnsTwo(Correct):
    def forward(self, x, state):
        return state[0], state[0]


class ReturnsWide(Correct):
    def forward(self, x, state):
        return (torch.cat([state[0], state[0]], dim=1),)


class ReturnsFloat32(Correct):
    def forward(self, x, state):
        return (state[0].float(),)


class WritesState(Correct):
    def forward(self, x, state):
        return (state[0].add_(x),)


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        (GRUCell, "maker: made GRUCell, wanted a seriatim.nn.Cell"),
        (ReturnsTensor, "maker: a step of ReturnsTensor returned Tensor, wanted a tuple (h)"),
        (ReturnsTwo, "maker: a step of ReturnsTwo returned tuple of 2, wanted a tuple (h)"),
        (
            ReturnsWide,
            "maker: a step of ReturnsWide returned h [2, 8] of torch.float64, wanted [2, 4] of torch.float64",
        ),
        (
            ReturnsFloat32,
            "maker: a step of ReturnsFloat32 returned h [2, 4] of torch.float32, wanted [2, 4] of torch.float64",
        ),
        (WritesState, "maker: a step of WritesState changed its arguments in place"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_malformed_step_is_refused(maker, message):
    with pytest.raises(UsageError) as raised:
        check_cell(maker)
    assert str(raised.value) == message


def test_an_error_of_the_cell_is_not_hidden():
    class Fails(Correct):
        def forward(self, x, state):
            raise ArithmeticError("of the cell itself")

    with pytest.raises(ArithmeticError, match="of the cell itself"):
        check_cell(Fails)
