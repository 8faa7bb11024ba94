"""The adaptive softmax: a distribution over all units, in training, scoring, sampling and on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import seriatim
from seriatim.errors import UsageError
from seriatim.models.adaptive_softmax import NARROWEST, SMALLEST, AdaptiveSoftmax
from seriatim.models.language import NO_TARGET, LanguageBatch, RecurrentLanguageModel
from seriatim.models.options import ModelOptions
from seriatim.options import fill

UNITS = 60


@pytest.fixture
def model() -> RecurrentLanguageModel:
    torch.manual_seed(0)
    options = fill(ModelOptions, {"model": "lstm", "hidden": 16})
    return RecurrentLanguageModel(options, UNITS, tie=False, adaptive=True)


def test_chances_of_all_units_add_up_to_one(model: RecurrentLanguageModel) -> None:
    logits, _ = model(torch.randint(UNITS, (5, 3)), ())
    assert logits.shape == (5, 3, UNITS)
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(5, 3))


def test_loss_is_mean_of_targets_alone_and_has_gradient_everywhere(model: RecurrentLanguageModel) -> None:
    units = torch.randint(UNITS, (40, 8))
    targets = torch.randint(UNITS, (40, 8)).masked_fill(torch.rand(40, 8) < 0.2, NO_TARGET)
    loss, _ = model.loss(LanguageBatch(units, targets, overlap=3), ())
    logits, _ = model(units, ())
    expected = torch.nn.functional.cross_entropy(
        logits[3:].flatten(0, 1), targets[3:].flatten(), ignore_index=NO_TARGET
    )
    torch.testing.assert_close(loss, expected)
    nll, _ = model.nll(units, targets, ())
    assert (nll[3:].sum() / (targets[3:] != NO_TARGET).sum()).item() == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


@pytest.mark.parametrize(("width", "units"), [(16, SMALLEST - 1), (NARROWEST - 1, 100)])
def test_small_vocabulary_or_state_is_refused(width: int, units: int) -> None:
    with pytest.raises(UsageError, match=f"softmax: got adaptive for {units} units and states of {width} numbers"):
        AdaptiveSoftmax(width, units)


@pytest.mark.parametrize(
    "options", [{"unit": "char"}, {"unit": "word", "tie": True}, {"unit": "word", "model": "markov"}]
)
def test_unsuitable_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="softmax: adaptive is for networks with --unit word and without --tie"):
        seriatim.train("language", "shakespeare", softmax="adaptive", **options)  # type: ignore[arg-type]


def test_run_is_trained_scored_sampled_and_not_exported(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    words = [f"w{min(int(word), 80)}" for word in draw.geometric(0.05, 3000)]
    text = tmp_path / "words.txt"
    text.write_text(" ".join(words), encoding="utf-8")
    perplexity = {}
    for softmax in ("full", "adaptive"):
        run = seriatim.train(
            "language", text, unit="word", softmax=softmax, hidden=16, epochs=8, baselines="none",
            out=tmp_path / softmax, quiet=True,
        )  # fmt: skip
        perplexity[softmax] = run.result["scores"]["perplexity"]
    assert perplexity["adaptive"] < 1.2 * perplexity["full"]
    run = seriatim.load(tmp_path / "adaptive")
    assert run.evaluate()["scores"]["perplexity"] == pytest.approx(run.result["scores"]["perplexity"], rel=1e-5)
    assert "".join(run.generate("w1", length=5, seed=0))
    with pytest.raises(UsageError, match="the runtime has no adaptive softmax"):
        run.export(tmp_path / "exported")
