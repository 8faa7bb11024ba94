"""Laws of recurrent language models: state goes in and comes out, nothing sees the future, chances sum to one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.models.language import LanguageBatch, RecurrentLanguageModel
from seriatim.models.options import STREAMING
from seriatim.models.window import ConcatenatedWindow, ContinuousBag
from seriatim.tasks.options import LanguageOptions

V, T, B = 7, 17, 3


def model(cell: str = "lstm", *, tie: bool = False, **arguments: object) -> RecurrentLanguageModel:
    torch.manual_seed(0)
    options = replace(LanguageOptions(), model=cell, hidden=8, layers=2, embedding=8, **arguments)
    return RecurrentLanguageModel(options, V, tie=tie).eval()


def units(steps: int = T, seed: int = 0) -> torch.Tensor:
    return torch.randint(V, (steps, B), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("cell", STREAMING)
@pytest.mark.parametrize("at", [1, 8, T - 1])
def test_split_run_equals_whole_run(cell: str, tie: bool, at: int) -> None:
    network, inputs = model(cell, tie=tie), units()
    whole, end = network(inputs, ())
    first, carry = network(inputs[:at], ())
    second, end_of_halves = network(inputs[at:], carry)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-5, atol=1e-6)
    for part, expected in zip(end, end_of_halves, strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-6)
    cold, _ = network(inputs[at:], ())
    assert not torch.allclose(cold, second, rtol=1e-3), "without the state the second half would differ"


@pytest.mark.parametrize("cell", STREAMING)
def test_embeddings_start_wide_where_layers_add_to_them(cell: str) -> None:
    deviation = float(model(cell).embedding.weight.detach().std())
    assert deviation == pytest.approx(1.0 if cell in ("transformer", "lru") else 0.1 / 3**0.5, rel=0.2)
    assert float(model(cell, tie=True).embedding.weight.detach().std()) == pytest.approx(0.1 / 3**0.5, rel=0.2)


@pytest.mark.parametrize("cell", STREAMING)
def test_prediction_does_not_depend_on_the_target(cell: str) -> None:
    network, inputs = model(cell), units()
    changed = inputs.clone()
    changed[9] = (changed[9] + 1) % V
    original, changed_scores = network(inputs, ())[0], network(changed, ())[0]
    assert torch.equal(original[:9], changed_scores[:9])
    assert not torch.equal(original[9], changed_scores[9])


@pytest.mark.parametrize("cell", STREAMING)
def test_rows_do_not_affect_each_other(cell: str) -> None:
    network, inputs = model(cell), units()
    together, _ = network(inputs, ())
    for row in range(B):
        alone, _ = network(inputs[:, row : row + 1], ())
        torch.testing.assert_close(alone[:, 0], together[:, row], rtol=1e-5, atol=1e-6)


def test_loss_is_mean_nll_per_unit() -> None:
    network, inputs, targets = model(), units(), units(seed=1)
    loss, carry = network.loss(LanguageBatch(inputs, targets), ())
    log_chances = functional.log_softmax(network(inputs, ())[0], -1)
    by_hand = -sum(log_chances[t, b, targets[t, b]] for t in range(T) for b in range(B)) / (T * B)
    torch.testing.assert_close(loss, by_hand)
    assert LanguageBatch(inputs, targets).units == T * B
    torch.testing.assert_close(carry, network(inputs, ())[1])


def test_tying_shares_one_matrix() -> None:
    tied, free = model(tie=True), model(tie=False)
    assert free.output is not None
    count = sum(parameter.numel() for parameter in tied.parameters())
    assert count == sum(parameter.numel() for parameter in free.parameters()) - free.output.weight.numel()
    tied.loss(LanguageBatch(units(), units(seed=1)), ())[0].backward()
    assert tied.embedding.weight.grad is not None
    assert (tied.embedding.weight.grad.abs().sum(1) > 0).all(), "units that are not read learn as outputs"


def test_tying_needs_equal_widths() -> None:
    with pytest.raises(UsageError, match=r"embedding: got 4, but --tie wants it as wide as --hidden \(5\)"):
        RecurrentLanguageModel(replace(LanguageOptions(), hidden=5, embedding=4), V, tie=True)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru", "transformer", "cnn", "cbow", "window"])
def test_reset_row_starts_anew(kind: str) -> None:
    """Against each row's pieces run on their own; native and in float32, so to rounding."""
    torch.manual_seed(2)
    windows = {"cbow": lambda: ContinuousBag(V, 3, 4), "window": lambda: ConcatenatedWindow(V, 3, 4, 5)}
    network = windows[kind]().eval() if kind in windows else model(kind)
    inputs = units()
    _, carry = network(units(seed=5), ())
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[0, 0] = reset[3, 0] = reset[3, 1] = reset[T - 1, 2] = True
    together, final = network(inputs, carry, reset)
    for row in range(B):
        at = torch.nonzero(reset[:, row]).flatten().tolist()
        of_row = tuple(part[:, row : row + 1] for part in carry)
        for start, stop in zip([0, *at], [*at, T], strict=True):
            if stop > start:
                alone, end = network(inputs[start:stop, row : row + 1], () if start in at else of_row)
                torch.testing.assert_close(together[start:stop, row : row + 1], alone, rtol=1e-5, atol=1e-6)
        if kind in ("rnn", "lstm", "gru"):
            torch.testing.assert_close(tuple(part[:, row : row + 1] for part in final), end, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together, network(inputs, carry)[0])


def test_dropout_only_in_training() -> None:
    network, inputs = model(dropout=0.5, locked_dropout=0.3), units()
    assert torch.equal(network(inputs, ())[0], network(inputs, ())[0])
    network.train()
    assert not torch.equal(network(inputs, ())[0], network(inputs, ())[0])
