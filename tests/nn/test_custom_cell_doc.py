"""The code of docs/own_cell.md runs, and its two cells compute the equations of their papers."""

from __future__ import annotations

import contextlib
import io
import re

import numpy as np
import pytest
import torch

import seriatim
from documents import ROOT, running
from seriatim.nn import Recurrent
from seriatim.nn.cell_laws import LAWS

PAGE = ROOT / "docs" / "own_cell.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The variables that the page's code leaves behind, run in an empty folder; ``stdout`` is what it prints."""
    stdout = io.StringIO()
    with contextlib.ExitStack() as stack:
        with contextlib.redirect_stdout(stdout):
            variables = stack.enter_context(running(PAGE, tmp_path_factory.mktemp("page")))
        yield {**variables, "stdout": stdout.getvalue()}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def test_mgu_computes_the_papers_equations(page):
    """Zhou 2016, (6), with W on [h, x] as two matrices: NumPy step by step, float64, to 1e-12."""
    layer = Recurrent(page["MGU"], 3, 5, dtype=torch.float64)
    w, u_f, u_n, b = (weight.detach().numpy() for weight in layer.parameters())
    x, h, states = np.random.default_rng(0).normal(size=(9, 2, 3)), np.zeros((2, 5)), []
    for step in x:
        f = sigmoid(step @ w[:5].T + h @ u_f.T + b[:5])
        n = np.tanh(step @ w[5:].T + (f * h) @ u_n.T + b[5:])
        h = (1 - f) * h + f * n
        states.append(h)
    np.testing.assert_allclose(layer(torch.from_numpy(x))[0].detach().numpy(), states, rtol=1e-12, atol=1e-12)


def test_shapes_are_as_the_page_says(page):
    assert page["output"].shape == (20, 3, 32) and page["h_n"].shape == (4, 3, 16)
    assert page["stream"].state.shape == (1, 3, 16)


def test_page_shows_what_check_cell_prints(page):
    output = re.search(r"\nprints\n\n((?:    .*\n)+)", PAGE.read_text(encoding="utf-8"))[1]
    lines = [line[4:] for line in output.splitlines()]
    without_number = [re.sub(r"difference \S+,", "difference,", text) for text in (lines[1], page["stdout"])]
    assert page["stdout"].startswith(lines[0] + "\n")
    assert without_number[0] in without_number[1]


def test_page_lists_the_laws():
    rows = re.findall(r"^\| `([a-z ]+)` \| (.+) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    assert rows == [(name, law.statement, f"{law.tolerance:g}".replace("e-0", "e-")) for name, law in LAWS.items()]


def test_registered_cell_is_a_model_of_a_task(page):
    sequences = page["sequences"]
    assert list(seriatim.load("run").predict(sequences)) == list(page["run"].predict(sequences))
