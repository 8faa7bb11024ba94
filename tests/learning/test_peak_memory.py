"""The peak memory of passes in which it can be counted by hand."""

from __future__ import annotations

import torch

from seriatim.learning.peak_memory import peak

SIZE = 10_000
"""Numbers of float32."""


def test_chain_of_tanh_holds_one_result_per_link():
    weight, links = torch.randn(SIZE, requires_grad=True), 40

    def run():
        value = weight
        for _ in range(links):
            value = value.tanh()  # keeps its result
        return value.sum()

    peak_size = peak(run, [weight], []) / (4 * SIZE)
    assert links <= peak_size <= links + 3
    assert weight.grad is None


def test_chain_without_saved_results_holds_only_gradients():
    weight = torch.randn(SIZE, requires_grad=True)

    def run():
        value = weight
        for _ in range(40):
            value = value * 2.0
        return value.sum()

    assert 1 <= peak(run, [weight], []) / (4 * SIZE) <= 3


def test_excluded_tensors_do_not_count():
    weight, data = torch.randn(SIZE, requires_grad=True), torch.randn(SIZE)
    assert peak(lambda: (weight * data).sum(), [weight], [data]) < peak(lambda: (weight * data).sum(), [weight], [])
