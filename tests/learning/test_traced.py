"""Operations written down once do what the function does: for every rule and cell, and for what is drawn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seriatim.learning import forward_mode as onward
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
            for one in model.parameters():
                one -= 0.01 * one.grad  # what was written down must see new weights
    return carry, {name: one.detach().clone() for name, one in model.named_parameters()}


@pytest.mark.parametrize(("kind", "cell"), [*(("rtrl", cell) for cell in LAYERS), ("snap1", "gru"), ("uoro", "lstm")])
def test_every_rule_and_cell(cell: str, kind: str, network: Any, stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, found = stream(8, 3), []
    for often in (2, 10_000):
        monkeypatch.setattr(onward, "TRACE_AFTER", often)
        torch.manual_seed(3)
        learner = LEARNERS[kind]()
        found.append(run(learner, network(LAYERS[cell](3, 4, dtype=torch.float64), dropout=0.2).train(), batch))
        assert [len(walk._traced) for walk in learner._batch_steps.values()] == ([0, 1] if often == 2 else [0, 0])
    (carry, weights), (other_carry, other_weights) = found
    for one, other in zip(carry, other_carry, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    for name in weights:
        torch.testing.assert_close(weights[name], other_weights[name], rtol=1e-9, atol=1e-12)


def test_what_follows_from_the_fixed_alone_is_done_once() -> None:
    weight, x = torch.rand(3, 3), torch.rand(3)

    def function(weight: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        return torch.linalg.inv(weight) @ x, weight.exp().sum() * torch.ones(3)

    written = TracedFunction(function, (weight, x), 1)
    for given in ((weight, x), (weight, 2 * x), (weight + 1, x)):
        for one, other in zip(written(*given), function(*given), strict=True):
            torch.testing.assert_close(one, other)
    (before, step) = (str(part.__self__.code) for part in (written._fixed_part, written._step_part))  # type: ignore[attr-defined]
    assert "inv" in before and "exp" in before and "inv" not in step and "exp" not in step


def test_a_function_that_writes_into_its_tensors() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        one, other = torch.zeros_like(x), torch.zeros_like(x)
        one[0] = 1.0
        return one * x, other * x

    x = torch.rand(3)
    for one, other in zip(TracedFunction(function, (x,), 1)(x), function(x), strict=True):
        assert torch.equal(one, other)


def test_draws_are_new_each_time_and_those_of_the_function() -> None:
    def function(weight: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        return torch.rand_like(weight) + x, torch.rand_like(weight) + x

    given = torch.rand(3), torch.rand(3)
    torch.manual_seed(5)
    written = TracedFunction(function, given, 2)
    first, second = written(*given)
    torch.manual_seed(5)
    wanted = function(*given)
    assert torch.equal(first, wanted[0]) and torch.equal(second, wanted[1])
    assert not torch.equal(first, second) and not torch.equal(written(*given)[0], first)


def test_what_looks_at_numbers_cannot_be_traced_down() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        return (x if x.sum() > 0 else -x,)

    with pytest.raises(RuntimeError):
        TracedFunction(function, (torch.ones(2),), 0)
