"""The code of docs/own_cell.md runs, and its two cells are the equations of their papers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import seriatim
from documents import ROOT, running
from seriatim.nn import Recurrent

PAGE = ROOT / "docs" / "own_cell.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Names that the page's code defines, run in an empty folder."""
    with running(PAGE, tmp_path_factory.mktemp("page")) as names:
        yield names


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def test_mgu_is_the_papers(page):
    """Zhou 2016, (6), with W on [h, x] as two matrices: NumPy step by step, float64 to 1e-12."""
    layer = Recurrent(page["MGU"], 3, 5, dtype=torch.float64)
    w, u_f, u_n, b = (one.detach().numpy() for one in layer.parameters())
    x, h, found = np.random.default_rng(0).normal(size=(9, 2, 3)), np.zeros((2, 5)), []
    for step in x:
        f = sigmoid(step @ w[:5].T + h @ u_f.T + b[:5])
        n = np.tanh(step @ w[5:].T + (f * h) @ u_n.T + b[5:])
        h = (1 - f) * h + f * n
        found.append(h)
    np.testing.assert_allclose(layer(torch.from_numpy(x))[0].detach().numpy(), found, rtol=1e-12, atol=1e-12)


def test_shapes_are_as_told(page):
    assert page["output"].shape == (20, 3, 32) and page["h_n"].shape == (4, 3, 16)
    assert page["stream"].state.shape == (1, 3, 16)


def test_it_is_a_model_of_a_task(page):
    sequences = page["sequences"]
    assert list(seriatim.load("run").predict(sequences)) == list(page["run"].predict(sequences))
