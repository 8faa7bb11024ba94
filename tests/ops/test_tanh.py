"""tanh by NumPy: its values and gradients are those of PyTorch, and other tensors are PyTorch's."""

from __future__ import annotations

import pytest
import torch

from seriatim.ops import tanh
from seriatim.ops.tanh import tanh_


@pytest.fixture(autouse=True)
def any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy is taken on every processor, and for few numbers."""
    monkeypatch.setattr(tanh, "is_amd", lambda: True)
    monkeypatch.setattr(tanh, "SMALLEST", 1)


def numbers(shape: tuple[int, ...] = (7, 5), dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_values() -> None:
    """Both libraries round the true value by less than 1.2e-7, the distance of two float32 numbers below 1."""
    x = numbers((40, 50))
    x[0, :4] = torch.tensor([torch.inf, -torch.inf, 0.0, 1e-30])
    y = x.clone()
    assert tanh_(y) is y
    torch.testing.assert_close(y, torch.tanh(x), rtol=2.4e-7, atol=0)
    assert tanh_(torch.tensor([torch.nan])).isnan().all()


def test_gradients_equal_those_of_pytorch() -> None:
    """An error of 6e-8 of y is at most 1e-5 of 1 - y² if |x| is below 2.6, and the sums add several of them."""
    x, weight = (numbers() / 3).requires_grad_(), numbers((5, 1))
    for second in (False, True):
        results = []
        for function in (tanh_, torch.tanh):
            loss = (function(x * 1) @ weight).square().sum()
            (gradient,) = torch.autograd.grad(loss, x, create_graph=second)
            results.append(torch.autograd.grad(gradient.square().sum(), x)[0] if second else gradient)
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_which_tensors_numpy_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(x: torch.Tensor) -> None:
        raise AssertionError("NumPy was taken")

    monkeypatch.setattr(tanh, "_overwrite", refuse)
    for x in (numbers(dtype=torch.float64), numbers((4, 6)).t(), numbers().to(torch.bfloat16)):
        torch.testing.assert_close(tanh_(x.clone(memory_format=torch.preserve_format)), torch.tanh(x))
    torch.func.vmap(lambda x: tanh_(x * 1))(numbers())
    with pytest.raises(AssertionError):
        tanh_(numbers())
    monkeypatch.setattr(tanh, "MOST_THREADS", 0)
    tanh_(numbers())
    monkeypatch.setattr(tanh, "MOST_THREADS", 8)
    monkeypatch.setattr(tanh, "SMALLEST", 36)
    tanh_(numbers())
    monkeypatch.setattr(tanh, "SMALLEST", 1)
    monkeypatch.setattr(tanh, "is_amd", lambda: False)
    tanh_(numbers())
