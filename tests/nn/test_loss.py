"""The chunked loss equals cross_entropy of linear, in value and gradient, and never has all logits in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from seriatim.nn import loss as module
from seriatim.nn.loss import linear_cross_entropy, linear_nll

N, V, H = 23, 11, 5


@pytest.fixture(autouse=True)
def chunks_of_four(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """23 rows: five chunks of 4 rows and one of 3."""
    monkeypatch.setattr(module, "WHOLE", 0)
    monkeypatch.setattr(module, "CHUNK", 4 * V)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)
    yield


def problem(
    dtype: torch.dtype = torch.float64, rows: int = N, bias: bool = True
) -> tuple[list[torch.Tensor], torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    parts = [torch.randn(*shape, generator=draw, dtype=dtype) for shape in ((rows, H), (V, H), (V,))]
    leaves = [part.requires_grad_() for part in parts[: 3 if bias else 2]]
    return leaves, torch.randint(V, (rows,), generator=draw)


def plain(leaves: list[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(functional.linear(*leaves), targets, ignore_index=-1)


def chunked(leaves: list[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    states, weight, *bias = leaves
    return linear_cross_entropy(states, weight, bias[0] if bias else None, targets)


@pytest.mark.parametrize("rows", [1, 4, 5, N])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ignored", [0, 1, 4])
def test_loss_equals_cross_entropy_of_linear(rows: int, bias: bool, ignored: int) -> None:
    leaves, targets = problem(rows=rows, bias=bias)
    targets[1 : 1 + ignored] = -1
    expected, result = plain(leaves, targets), chunked(leaves, targets)
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    upstream = torch.tensor(-3.7, dtype=torch.float64)
    for gradient, expected_gradient in zip(
        torch.autograd.grad(result, leaves, upstream), torch.autograd.grad(expected, leaves, upstream), strict=True
    ):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-12)


def test_gradient_equals_finite_differences() -> None:
    leaves, targets = problem(rows=6)
    targets[2] = -1
    assert torch.autograd.gradcheck(lambda *parts: chunked(list(parts), targets), leaves)


@pytest.mark.parametrize("fixed", [0, 1, 2])
def test_tensor_that_requires_no_gradient_gets_none(fixed: int) -> None:
    leaves, targets = problem()
    leaves[fixed].requires_grad_(False)
    chunked(leaves, targets).backward()
    assert [leaf.grad is None for leaf in leaves] == [index == fixed for index in range(3)]


def test_tied_weights_get_both_gradients() -> None:
    (states, weight, bias), targets = problem()
    read = torch.randint(V, (N,), generator=torch.Generator().manual_seed(1))

    def weight_gradient(loss: object) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(loss([states + weight[read], weight, bias], targets), [weight])  # type: ignore[operator]
        return gradient

    torch.testing.assert_close(weight_gradient(chunked), weight_gradient(plain), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("whole", [0, 10**9])
def test_mean_without_targets_is_nan(whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE", whole)
    for rows in (0, 3):
        leaves, _ = problem(rows=rows)
        targets = torch.full((rows,), -1)
        assert chunked(leaves, targets).isnan()
        assert plain(leaves, targets).isnan()


@pytest.mark.parametrize("whole", [0, 10**9])
def test_target_outside_the_vocabulary_is_refused(whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE", whole)
    leaves, targets = problem()
    targets[7] = V
    with pytest.raises((RuntimeError, IndexError), match="out of bounds"):
        chunked(leaves, targets)


def test_huge_logits_do_not_overflow() -> None:
    leaves, targets = problem(torch.float32)
    large = [leaf * 1e4 for leaf in leaves]
    torch.testing.assert_close(chunked(large, targets), plain(large, targets), rtol=1e-6, atol=1e-6)


def test_under_autocast_products_are_in_bfloat16_and_the_softmax_is_not() -> None:
    leaves, targets = problem(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        result = chunked(leaves, targets)
    rounded = [leaf.to(torch.bfloat16) for leaf in leaves[:2]]
    logits = (rounded[0] @ rounded[1].t()).float() + leaves[2]
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, functional.cross_entropy(logits, targets))
    exact = torch.autograd.grad(plain(leaves, targets), leaves)
    for gradient, expected_gradient in zip(torch.autograd.grad(result, leaves), exact, strict=True):
        assert gradient.dtype == torch.float32
        torch.testing.assert_close(gradient, expected_gradient, rtol=0.05, atol=0.01)


def test_loss_without_gradients_records_no_graph() -> None:
    leaves, targets = problem()
    with torch.no_grad():
        loss = chunked(leaves, targets)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, plain(leaves, targets).detach())


@pytest.mark.parametrize("rows", [0, 1, 4, N])
def test_nll_equals_cross_entropy_without_reduction(rows: int) -> None:
    leaves, targets = problem(rows=rows)
    result = linear_nll(leaves[0], leaves[1], leaves[2], targets)
    expected = functional.cross_entropy(functional.linear(*leaves), targets, reduction="none")
    torch.testing.assert_close(result, expected.detach(), rtol=1e-12, atol=1e-12)
    assert not result.requires_grad


class Largest(TorchDispatchMode):
    """Records the number of values in the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for gradient in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(gradient, torch.Tensor):
                self.values = max(self.values, gradient.numel())
        return result


def test_no_tensor_is_larger_than_a_chunk_or_the_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4 * V)
    leaves, targets = problem(rows=400)

    def largest(loss: object) -> int:
        with Largest() as largest:
            loss(leaves, targets).backward()  # type: ignore[operator]
        return largest.values

    assert largest(chunked) <= max(4 * V, V * H, 400 * H)
    assert largest(lambda parts, targets: linear_nll(*parts, targets).sum().requires_grad_()) <= 400 * H
    assert largest(plain) == 400 * V
