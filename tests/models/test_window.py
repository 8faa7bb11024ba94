"""Laws of the language models with a fixed window: they see τ units and no more."""

from __future__ import annotations

import pytest
import torch

from seriatim.models.language import NeuralLanguageModel
from seriatim.models.window import ConcatenatedWindow, ContinuousBag
from seriatim.notation import UNKNOWN

V, T, B = 7, 15, 3


def make(kind: str, context: int) -> NeuralLanguageModel:
    torch.manual_seed(0)
    models = {"cbow": lambda: ContinuousBag(V, context, 4), "window": lambda: ConcatenatedWindow(V, context, 4, 6)}
    return models[kind]().eval()


def units() -> torch.Tensor:
    return torch.randint(V, (T, B), generator=torch.Generator().manual_seed(3))


every_case = pytest.mark.parametrize(
    ("kind", "context"), [(kind, tau) for kind in ("cbow", "window") for tau in (1, 2, 5)]
)


@every_case
@pytest.mark.parametrize("at", [1, 3, 8, T - 1])
def test_split_run_equals_whole_run(kind: str, context: int, at: int) -> None:
    network, inputs = make(kind, context), units()
    whole, end = network(inputs, ())
    first, carry = network(inputs[:at], ())
    second, end_of_halves = network(inputs[at:], carry)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-6, atol=1e-6)
    assert torch.equal(end[0], end_of_halves[0])
    assert end[0].shape == (context - 1, B)


@every_case
def test_prediction_depends_on_its_window_only(kind: str, context: int) -> None:
    network, inputs = make(kind, context), units()
    changed = inputs.clone()
    changed[6] = (changed[6] + 1) % V
    original, changed_scores = network(inputs, ())[0], network(changed, ())[0]
    moved = [not torch.allclose(original[t], changed_scores[t], rtol=1e-5, atol=1e-7) for t in range(T)]
    assert moved == [6 <= t < 6 + context for t in range(T)]


@every_case
def test_probabilities_sum_to_one(kind: str, context: int) -> None:
    logits, _ = make(kind, context)(units(), ())
    assert logits.shape == (T, B, V)
    torch.testing.assert_close(torch.softmax(logits, -1).sum(-1), torch.ones(T, B))


@every_case
def test_past_of_a_new_stream_is_unknown(kind: str, context: int) -> None:
    network, inputs = make(kind, context), units()
    led = torch.cat([torch.full((context, B), UNKNOWN), inputs])
    torch.testing.assert_close(network(led, ())[0][context:], network(inputs, ())[0], rtol=1e-6, atol=1e-6)


def test_only_cbow_ignores_order() -> None:
    inputs = torch.tensor([[1], [2], [3], [4]])
    turned = inputs.flip(0)
    last = {kind: [make(kind, 4)(tokens, ())[0][-1] for tokens in (inputs, turned)] for kind in ("cbow", "window")}
    torch.testing.assert_close(*last["cbow"])
    assert not torch.allclose(*last["window"], rtol=1e-3)


def test_only_window_parameters_grow_with_context() -> None:
    def size(kind: str, context: int) -> int:
        return sum(parameter.numel() for parameter in make(kind, context).parameters())

    assert size("cbow", 2) == size("cbow", 8)
    assert size("window", 8) - size("window", 2) == 6 * 4 * 6
