"""Traced steps equal untraced ones: for every rule and cell, and for random draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seriatim.learning import forward_mode
from seriatim.learning.rtrl import RTRL
from seriatim.learning.snap1 import SnAp1
from seriatim.learning.traced import TracedFunction
from seriatim.learning.uoro import UORO
from seriatim.nn.registry import LAYERS

LEARNERS = {"rtrl": lambda: RTRL(1e9), "snap1": SnAp1, "uoro": UORO}


def run(learner: Any, model: Any, batch: Any) -> tuple[Any, dict[str, Tensor]]:
    torch.manual_seed(1)
    carry: Any = ()
    for start in range(0, batch.steps, 2):
        model.zero_grad(set_to_none=True)
        _, carry = learner.step(model, batch.cut(start, start + 2), carry)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad  # a traced step must use new weights
    return carry, {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("kind", "cell"), [*(("rtrl", cell) for cell in LAYERS), ("snap1", "gru"), ("uoro", "lstm")])
def test_traced_steps_equal_untraced_steps(
    cell: str, kind: str, network: Any, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, actual = stream(8, 3), []
    for often in (2, 10_000):
        monkeypatch.setattr(forward_mode, "TRACE_AFTER", often)
        torch.manual_seed(3)
        learner = LEARNERS[kind]()
        actual.append(run(learner, network(LAYERS[cell](3, 4, dtype=torch.float64), dropout=0.2).train(), batch))
        assert [len(walk._traced) for walk in learner._batch_steps.values()] == ([0, 1] if often == 2 else [0, 0])
    (carry, weights), (other_carry, other_weights) = actual
    for first, second in zip(carry, other_carry, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)
    for name in weights:
        torch.testing.assert_close(weights[name], other_weights[name], rtol=1e-9, atol=1e-12)


def test_fixed_part_is_computed_once() -> None:
    weight, x = torch.rand(3, 3), torch.rand(3)

    def function(weight: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        return torch.linalg.inv(weight) @ x, weight.exp().sum() * torch.ones(3)

    traced = TracedFunction(function, (weight, x), 1)
    for arguments in ((weight, x), (weight, 2 * x), (weight + 1, x)):
        for first, second in zip(traced(*arguments), function(*arguments), strict=True):
            torch.testing.assert_close(first, second)
    (fixed_code, step) = (str(part.__self__.code) for part in (traced._fixed_part, traced._step_part))  # type: ignore[attr-defined]
    assert "inv" in fixed_code and "exp" in fixed_code and "inv" not in step and "exp" not in step


def test_mutating_function() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        first[0] = 1.0
        return first * x, second * x

    x = torch.rand(3)
    for first, second in zip(TracedFunction(function, (x,), 1)(x), function(x), strict=True):
        assert torch.equal(first, second)


def test_random_draws_are_new_at_each_call() -> None:
    def function(weight: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        return torch.rand_like(weight) + x, torch.rand_like(weight) + x

    arguments = torch.rand(3), torch.rand(3)
    torch.manual_seed(5)
    traced = TracedFunction(function, arguments, 2)
    first, second = traced(*arguments)
    torch.manual_seed(5)
    expected = function(*arguments)
    assert torch.equal(first, expected[0]) and torch.equal(second, expected[1])
    assert not torch.equal(first, second) and not torch.equal(traced(*arguments)[0], first)


def test_data_dependent_function_cannot_be_traced() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        return (x if x.sum() > 0 else -x,)

    with pytest.raises(RuntimeError):
        TracedFunction(function, (torch.ones(2),), 0)
