"""Products of matrices by oneDNN: equal to PyTorch's own to rounding, with first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seriatim import nn
from seriatim.nn.convolution import Convolution
from seriatim.ops import products

OPERATOR = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
needs_onednn = pytest.mark.skipif(
    OPERATOR is None or not torch.backends.mkldnn.is_available(), reason="PyTorch was built without oneDNN"
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, ...]]]:
    """Send each product to oneDNN, whatever the processor and the size, and record the shapes of the results."""
    shapes: list[tuple[int, ...]] = []

    def multiply(x: Tensor, weight: Tensor, bias: Tensor | None, *options: object) -> Tensor:
        assert OPERATOR is not None
        result: Tensor = OPERATOR.default(x, weight, bias, *options)
        shapes.append(tuple(result.shape))
        return result

    monkeypatch.setattr(products, "SMALLEST", 0)
    monkeypatch.setattr(products, "_multiply", lambda: multiply)
    yield shapes


def layouts(rows: int, columns: int) -> dict[str, Tensor]:
    """Matrices of one shape that lie in memory in different ways."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "dense": draw(rows, columns),
        "transposed": draw(columns, rows).t(),
        "columns of a wider matrix": draw(rows, 2 * columns)[:, 3 : 3 + columns],
        "every second column": draw(rows, 2 * columns)[:, ::2],
        "an expanded row": draw(1, columns).expand(rows, columns),
    }


@needs_onednn
@pytest.mark.parametrize("weight_layout", layouts(1, 1))
@pytest.mark.parametrize("x_layout", layouts(1, 1))
def test_linear_is_that_of_pytorch_for_each_layout(
    calls: list[tuple[int, ...]], x_layout: str, weight_layout: str
) -> None:
    x, weight, bias = layouts(13, 34)[x_layout], layouts(25, 34)[weight_layout], torch.linspace(-1, 1, 25)
    torch.testing.assert_close(products.linear(x, weight, bias), functional.linear(x, weight, bias))
    torch.testing.assert_close(products.product(x, weight.t()), x @ weight.t())
    assert calls == [(13, 25), (13, 25)]


@needs_onednn
def test_linear_takes_leading_axes(calls: list[tuple[int, ...]]) -> None:
    x, weight = torch.randn(5, 7, 34), torch.randn(25, 34)
    torch.testing.assert_close(products.linear(x.transpose(0, 1), weight), functional.linear(x.transpose(0, 1), weight))
    assert calls == [(35, 25)]


def second_gradients(linear: Callable[..., Tensor], leaves: list[Tensor]) -> list[Tensor]:
    first = torch.autograd.grad((linear(*leaves) ** 3).sum(), leaves, create_graph=True)
    return [*first, *torch.autograd.grad(sum((gradient**2).sum() for gradient in first), leaves)]


@needs_onednn
def test_gradients_and_their_gradients_are_those_of_pytorch(calls: list[tuple[int, ...]]) -> None:
    generator = torch.Generator().manual_seed(0)
    leaves = [torch.randn(*shape, generator=generator).requires_grad_() for shape in ((6, 5), (4, 5), (4,))]
    pairs = zip(second_gradients(products.linear, leaves), second_gradients(functional.linear, leaves), strict=True)
    for ours, expected in pairs:
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-3)
    assert len(calls) > 4


@needs_onednn
def test_add_product_adds_in_place(calls: list[tuple[int, ...]]) -> None:
    total, a, b = torch.ones(4, 3), torch.randn(4, 5), torch.randn(5, 3)
    products.add_product(total, a, b)
    torch.testing.assert_close(total, 1 + a @ b)
    assert calls


@needs_onednn
@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (torch.randn(4, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)),
        (torch.randn(4, 5).to_sparse(), torch.randn(3, 5)),
    ],
    ids=["float64", "sparse"],
)
def test_other_tensors_go_to_pytorch(calls: list[tuple[int, ...]], x: Tensor, weight: Tensor) -> None:
    torch.testing.assert_close(products.linear(x, weight), functional.linear(x, weight))
    assert not calls


@needs_onednn
def test_other_weights_and_biases_go_to_pytorch(calls: list[tuple[int, ...]]) -> None:
    x, weight = torch.randn(4, 5), torch.randn(3, 5)
    torch.testing.assert_close(products.linear(x, weight[0]), functional.linear(x, weight[0]))
    for bias in (torch.randn(6)[::2], torch.randn(1).expand(3)):
        torch.testing.assert_close(products.linear(x, weight, bias), functional.linear(x, weight, bias))
    with pytest.raises(RuntimeError, match="dtype"):
        products.linear(x, weight, torch.randn(3).double())
    assert not calls


@needs_onednn
def test_batched_gradients_go_to_pytorch(calls: list[tuple[int, ...]]) -> None:
    x, weight = torch.randn(4, 5, requires_grad=True), torch.randn(3, 5)
    gradients = torch.randn(2, 4, 3)
    (ours,) = torch.autograd.grad(products.linear(x, weight), x, gradients, is_grads_batched=True)
    torch.testing.assert_close(ours, gradients @ weight)
    assert calls == [(4, 3)]


@needs_onednn
def test_autocast_and_transforms_go_to_pytorch(calls: list[tuple[int, ...]]) -> None:
    x, weight = torch.randn(4, 5), torch.randn(3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert products.linear(x, weight).dtype is torch.bfloat16
    batched = torch.func.vmap(lambda row: products.linear(row[None], weight)[0])(x)
    torch.testing.assert_close(batched, functional.linear(x, weight))
    assert not calls


@needs_onednn
@pytest.mark.parametrize(
    ("layer", "results"),
    [
        (nn.LSTM(6, 4, layer_norm=True), [(15, 16)]),
        (nn.MinGRU(6, 4), [(15, 8)]),
        (nn.LRU(6, 4), [(15, 12), (15, 4)]),
        (Convolution(6, 4, 3), [(15, 4)]),
    ],
    ids=["lstm with layer norm", "mingru", "lru", "convolution"],
)
def test_layers_send_the_products_of_all_steps_to_onednn(
    calls: list[tuple[int, ...]], layer: Callable[[Tensor], object], results: list[tuple[int, ...]]
) -> None:
    layer(torch.randn(5, 3, 6))
    assert calls == results


def test_small_products_go_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> Tensor:
        raise AssertionError("a small product was sent to oneDNN")

    monkeypatch.setattr(products, "_multiply", lambda: refuse)
    products.linear(torch.randn(4, 5), torch.randn(3, 5))


def test_wrong_shapes_raise_the_error_of_pytorch(calls: list[tuple[int, ...]]) -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        products.linear(torch.randn(4, 5), torch.randn(3, 6))
