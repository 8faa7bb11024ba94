"""CBOW's own gradients against PyTorch's, and what a step leaves alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seriatim.models.word_vectors import ContextBatch, WordVectors

V, D, B, WINDOW, K = 9, 4, 6, 3, 5


def problem() -> tuple[WordVectors, ContextBatch]:
    draw = torch.Generator().manual_seed(0)
    model = WordVectors(V, D, 3.0, draw)
    model.outputs.normal_(generator=draw)
    model.vectors[1:].normal_(generator=draw)
    contexts = torch.randint(0, V - 1, (B, 2 * WINDOW), generator=draw)  # 0 is no word, and the last word is not there
    contexts[2] = 0
    return model, ContextBatch(
        contexts, torch.randint(1, V - 1, (B,), generator=draw), torch.randint(1, V - 1, (K,), generator=draw)
    )


def loss(vectors: torch.Tensor, outputs: torch.Tensor, batch: ContextBatch, weight: float) -> torch.Tensor:
    """Equation (1), word for word."""
    total = vectors.new_zeros(())
    for around, centre in zip(batch.contexts, batch.centres, strict=True):
        words = around[around != 0]
        mean = vectors[words].mean(0) if len(words) else vectors.new_zeros(D)
        total = total - functional.logsigmoid(mean @ outputs[centre])
        total = total - weight * functional.logsigmoid(-(outputs[batch.noise] @ mean)).mean()
    return total / len(batch.centres)


def test_step_follows_gradient_scaled_by_row() -> None:
    model, batch = problem()
    tables = [model.vectors.clone().requires_grad_(), model.outputs.clone().requires_grad_()]
    expected = loss(*tables, batch, model.weight)
    gradients = torch.autograd.grad(expected, tables)
    assert model.step(batch, 0.1) == pytest.approx(float(expected.detach()), rel=1e-5)
    for updated, initial, gradient in zip((model.vectors, model.outputs), tables, gradients, strict=True):
        rate = 0.1 / (1e-10 + gradient.square().mean(1, keepdim=True)).sqrt()
        torch.testing.assert_close(updated, initial.detach() - rate * gradient, rtol=1e-4, atol=1e-6)


def test_words_outside_the_batch_do_not_change() -> None:
    model, batch = problem()
    initial = model.vectors.clone(), model.outputs.clone()
    model.step(batch, 0.1)
    for updated, old in zip((model.vectors, model.outputs), initial, strict=True):
        assert torch.equal(updated[V - 1], old[V - 1])
    assert torch.equal(model.vectors[0], torch.zeros(D)), "no word has no vector"


def test_loss_falls() -> None:
    model, batch = problem()
    losses = [model.step(batch, 0.1) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]
