"""RTRL, SnAp-1 and UORO at fixed weights: equal to BPTT, or right on average, or with the documented approximation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.learning.bptt import BPTT
from seriatim.learning.rtrl import RTRL
from seriatim.learning.snap1 import SnAp1
from seriatim.learning.uoro import UORO
from seriatim.models.contract import Carry, Segment, Unitwise
from seriatim.nn.registry import LAYERS
from seriatim.notation import DIAGONAL

ROOM = 1e9
STEPS, ROWS = 9, 3
VARIANTS: dict[str, dict[str, Any]] = {
    "rnn relu": {"nonlinearity": "relu"},
    "rnn sigmoid": {"nonlinearity": "sigmoid"},
    "rnn projected": {"proj_size": 2},
    "lstm projected": {"proj_size": 2},
    "lstm peephole": {"peephole": True},
    "lstm layer norm": {"layer_norm": True},
    "lstm without biases": {"bias": False},
    "gru reset before": {"reset_after": False},
    "gru layer norm": {"layer_norm": True},
    "mingru without biases": {"bias": False},
    "lru with biases": {"bias": True},
}
CELLS: dict[str, dict[str, Any]] = {name: {} for name in LAYERS} | VARIANTS
SCANS = [name for name in CELLS if name.split()[0] in DIAGONAL]
"""Cells of a diagonal recurrence."""
SEVERAL = ("rnn projected", "lstm projected", "lstm layer norm", "gru reset before", "gru layer norm")
"""Cells with weights that reach several units in one step."""


def cell(name: str, layers: int = 1, inputs: int = 3) -> Any:
    torch.manual_seed(3)
    return LAYERS[name.split()[0]](inputs, 4, layers, dtype=torch.float64, **CELLS[name])


class Leaks(nn.Module):
    """A diagonal layer: h_t = a ⊙ h_{t-1} + tanh(x_t Wᵀ) with a = σ(rate), or a = σ(x_t Vᵀ) when ``gated``.

    Two of them make one number of two parts turn by an angle, as a complex diagonal recurrence does: (h, c) is the
    state whose parts influence each other only within a unit.
    """

    diagonal = True

    @property
    def recurrent_states(self) -> tuple[int, ...]:
        return tuple(range(1 + self.turning))

    def __init__(self, inputs: int = 3, hidden: int = 4, *, gated: bool = False, turning: bool = False) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.hidden, self.gated, self.turning = hidden, gated, turning
        self.weight = nn.Parameter(torch.randn(hidden, inputs, dtype=torch.float64))
        self.rate = nn.Parameter(torch.randn(*((hidden, inputs) if gated else (hidden,)), dtype=torch.float64) + 1.0)
        self.angle = nn.Parameter(torch.rand(hidden, dtype=torch.float64)) if turning else None

    def owners(self) -> dict[str, Tensor]:
        units = torch.arange(self.hidden)
        return {
            name: (units[:, None] if parameter.dim() == 2 else units).expand_as(parameter)
            for name, parameter in self.named_parameters()
        }

    def forward(self, x: Tensor, state: Any = None) -> Any:
        parts = [x.new_zeros(1, x.shape[1], self.hidden)] * (1 + self.turning) if state is None else state
        h, *c = parts if isinstance(parts, (tuple, list)) else (parts,)
        h, c = h[0], [parameter[0] for parameter in c]
        out = []
        for step in x:
            a = torch.sigmoid(step @ self.rate.T if self.gated else self.rate)
            if self.angle is None:
                h = a * h + torch.tanh(step @ self.weight.T)
            else:
                cos, sin = torch.cos(self.angle), torch.sin(self.angle)
                h, c = a * (cos * h - sin * c[0]) + step @ self.weight.T, [a * (sin * h + cos * c[0])]
            out.append(h)
        return torch.stack(out), (h[None], c[0][None]) if c else h[None]


DIAGONALS: dict[str, Callable[[], Any]] = {
    "leaks": Leaks, "gated": lambda: Leaks(gated=True), "turning": lambda: Leaks(turning=True),
    **{name: partial(cell, name) for name in SCANS},
}  # fmt: skip


def pieces(batch: Segment, size: int) -> list[Any]:
    return [batch.cut(start, min(start + size, batch.steps)) for start in range(0, batch.steps, size)]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", CELLS)
def test_rtrl_equals_bptt(name: str, layers: int, network: Any, stream: Any, gradients: Any, equal: Any) -> None:
    """1e-10 of the largest gradient in float64: the same sums in another order."""
    model, batch = network(cell(name, layers)), stream(STEPS, ROWS)
    exact = gradients(BPTT(), model, [batch])
    for size in (1, 4, STEPS):
        equal(gradients(RTRL(ROOM), model, pieces(batch, size)), exact)


def test_gradient_is_wrong_without_the_carried_influence(network: Any, stream: Any, gradients: Any, equal: Any) -> None:
    model, batch = network(cell("lstm")), stream(STEPS, ROWS)

    class Forgetful:
        def step(self, model: Any, batch: Any, carry: Carry) -> tuple[Tensor, Carry]:
            loss, (h, c, *influence) = RTRL(ROOM).step(model, batch, carry)
            return loss, (h, c, *(torch.zeros_like(part) for part in influence))

    exact = gradients(BPTT(), model, [batch])
    with pytest.raises(AssertionError):
        equal(gradients(Forgetful(), model, pieces(batch, 4)), exact)


def test_state_and_loss_equal_those_of_the_model(network: Any, stream: Any) -> None:
    model, batch = network(cell("lstm", 2)), stream(STEPS, ROWS)
    expected, state = model.loss(batch, ())
    for learner in (RTRL(ROOM), SnAp1(), UORO()):
        loss, carry = learner.step(model, batch, ())
        torch.testing.assert_close(loss, expected.detach())
        for first, second in zip(carry, state, strict=False):
            torch.testing.assert_close(first, second.detach())


@pytest.mark.parametrize("name", DIAGONALS)
def test_diagonal_layer_has_exact_gradient_from_influence_per_unit(
    name: str, network: Any, stream: Any, gradients: Any, equal: Any
) -> None:
    model, batch = network(DIAGONALS[name]()), stream(STEPS, ROWS)
    assert isinstance(model.layer, Unitwise)
    exact = gradients(BPTT(), model, [batch])
    for size in (1, 4, STEPS):
        equal(gradients(RTRL(ROOM), model, pieces(batch, size)), exact)
    _, carry = RTRL(ROOM).step(model, batch, ())
    own = sum(parameter.numel() for parameter in model.layer.parameters())
    assert carry[-2].shape == (
        ROWS,
        len(model.layer.recurrent_states),
        own,
    )  # one number per weight and part of the state


@pytest.mark.parametrize("name", DIAGONALS)
def test_snap1_equals_rtrl_for_one_diagonal_layer(
    name: str, network: Any, stream: Any, gradients: Any, equal: Any
) -> None:
    batch = stream(STEPS, ROWS)
    model = network(DIAGONALS[name]())
    exact, sparse = (gradients(learner, model, pieces(batch, 2)) for learner in (RTRL(ROOM), SnAp1()))
    input_weights = {key for key in exact if key.startswith("before")}  # reaches all units: only within a step
    equal(
        {k: v for k, v in sparse.items() if k not in input_weights},
        {k: v for k, v in exact.items() if k not in input_weights},
    )
    with pytest.raises(AssertionError):
        equal(sparse, exact)


@pytest.mark.parametrize("name", [name for name in CELLS if name not in (*SEVERAL, *SCANS)])
def test_snap1_equals_rtrl_with_influence_cut_to_units(
    name: str, network: Any, stream: Any, gradients: Any, equal: Any
) -> None:
    """Equals RTRL with an influence that is cut to units by hand after each step (Menick 2020, (3) with n = 1)."""
    model, batch = network(cell(name)), stream(STEPS, ROWS)
    owners = model.layer.owners()
    parts = len(model.layer.spec.states)

    class ByHand:
        def step(self, model: Any, batch: Any, carry: Carry) -> tuple[Tensor, Carry]:
            loss, (*state, influence, nothing) = RTRL(ROOM).step(model, batch, carry)
            mask = torch.cat(
                [self.mask(key, parameter) for key, parameter in model.named_parameters() if "output" not in key], 1
            )
            return loss, (*state, influence * mask, nothing)

        def mask(self, key: str, parameter: Tensor) -> Tensor:
            owner = owners.get(key.removeprefix("layer."), torch.full(parameter.shape, -1)).flatten()
            return (torch.arange(4).repeat(parts)[:, None] == owner).double()

    actual, expected = (gradients(parameter, model, pieces(batch, 1)) for parameter in (SnAp1(), ByHand()))
    equal(actual, expected)
    with pytest.raises(AssertionError):  # an approximation, for these
        equal(actual, gradients(BPTT(), model, [batch]))


@pytest.mark.parametrize("name", SEVERAL)
def test_snap1_refuses_weights_that_reach_several_units(name: str, network: Any, stream: Any) -> None:
    with pytest.raises(UsageError, match="learner: snap1 wants weights that each reach one unit"):
        SnAp1().step(network(cell(name)), stream(2, 1), ())


def samples(learner: Any, model: Any, batch: Any, size: int, count: int, rows: int) -> dict[str, Tensor]:
    """``count`` independent gradients of the same stream, each the mean over ``rows`` rows of it."""
    wide = type(batch)(*(parameter.expand(-1, rows, -1) for parameter in (batch.inputs, batch.targets)))
    actual = []
    for _ in range(count):
        carry: Carry = ()
        total = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
        for piece in pieces(wide, size):
            model.zero_grad(set_to_none=True)
            _, carry = learner.step(model, piece, carry)
            for name, parameter in model.named_parameters():
                total[name] += parameter.grad * piece.steps / batch.steps
        actual.append(torch.cat([parameter.flatten() for parameter in total.values()]))
    return torch.stack(actual)


def worst(actual: Tensor, exact: Tensor) -> float:
    """The largest |z| over the weights of the mean of ``found`` [samples, weights] against ``exact``."""
    error = actual.std(0) / len(actual) ** 0.5
    z = (actual.mean(0) - exact) / error
    return float(z[error > 1e-12].abs().max())


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_uoro_is_unbiased_at_fixed_weights(name: str, network: Any, stream: Any, gradients: Any) -> None:
    """The mean of 20 × 400 independent gradients against the exact one, weight by weight.

    Of about 150 weights the largest |t| with 19 degrees of freedom is above 7 once in some 6,000 unbiased learners.
    Power: a θ̃ that is a fifth too small from step to step must be found by the same samples, and is.
    """
    model, batch = network(cell(name)), stream(5, 1)
    exact = torch.cat([gradient.flatten() for gradient in gradients(BPTT(), model, [batch]).values()])
    torch.manual_seed(11)
    assert worst(samples(UORO(), model, batch, 2, 20, 400), exact) < 7.0

    class Biased:
        def step(self, model: Any, batch: Any, carry: Carry) -> tuple[Tensor, Carry]:
            loss, (*state, of_theta) = UORO().step(model, batch, carry)
            return loss, (*state, 0.8 * of_theta)

    assert worst(samples(Biased(), model, batch, 2, 20, 400), exact) > 7.0


def test_rtrl_refuses_too_little_memory(network: Any, stream: Any) -> None:
    with pytest.raises(UsageError, match=r"rtrl needs .* GB for the influence of 153 weights on 8 numbers .* --memory"):
        RTRL(1e4).step(network(cell("lstm")), stream(2, 3), ())
