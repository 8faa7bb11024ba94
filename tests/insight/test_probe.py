"""A probe has the same losses as its model."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.insight.probe import classifier_probe, find_body, forecaster_probe, language_probe, regressor_probe
from seriatim.models.classifier import InputSize, RecurrentClassifier
from seriatim.models.forecaster import WindowBatch, WindowShape, build_forecaster
from seriatim.models.language import RecurrentLanguageModel
from seriatim.models.options import ModelOptions
from seriatim.models.regressor import OUTPUTS, Regressor

MODELS = ("rnn", "lstm", "gru", "transformer", "cnn")


def options(model: str, **others: object) -> ModelOptions:
    torch.manual_seed(0)
    return ModelOptions(model=model, hidden=16, **others)


@pytest.mark.parametrize("model", MODELS)
def test_language_probe_has_the_loss_of_the_last_unit(model: str) -> None:
    network = RecurrentLanguageModel(options(model, dropout=0.5), 11, tie=False)
    units = torch.randint(0, 11, (9, 4))
    probe = language_probe(network, units)
    logits, _ = network(units[:-1], ())
    expected = functional.cross_entropy(logits[-1], units[-1], reduction="none")
    torch.testing.assert_close(probe.losses(probe.inputs), expected)
    assert probe.inputs.shape[:2] == (8, 4)


def test_language_probe_begins_anew_where_context_is_cut() -> None:
    network = RecurrentLanguageModel(options("lstm"), 11, tie=True)
    units = torch.randint(0, 11, (9, 4))
    probe = language_probe(network, units)
    torch.testing.assert_close(
        probe.losses(probe.inputs[-3:]), language_probe(network, units[-4:]).losses(probe.inputs[-3:])
    )


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_classifier_probe_has_the_loss_of_each_row(pool: str, bidirectional: bool) -> None:
    network = RecurrentClassifier(options("gru", bidirectional=bidirectional), InputSize(channels=3), 5, pool=pool)
    inputs, labels = torch.randn(7, 4, 3), torch.tensor([0, 1, 2, 3])
    probe = classifier_probe(network, inputs, labels)
    expected = functional.cross_entropy(network(inputs, torch.full((4,), 7)), labels, reduction="none")
    torch.testing.assert_close(probe.losses(probe.inputs), expected)
    shorter = functional.cross_entropy(network(inputs[-3:], torch.full((4,), 3)), labels, reduction="none")
    torch.testing.assert_close(probe.losses(probe.inputs[-3:]), shorter)


def test_classifier_probe_of_words_reads_their_vectors() -> None:
    network = RecurrentClassifier(options("lstm"), InputSize(vocabulary=9), 2, pool="max")
    units = torch.randint(0, 9, (6, 3))
    probe = classifier_probe(network, units, torch.tensor([0, 1, 0]))
    torch.testing.assert_close(probe.inputs, network.embeddings(units))


def test_regressor_probe_has_half_the_squared_error() -> None:
    network = Regressor(RecurrentClassifier(options("gru"), InputSize(channels=2), OUTPUTS, pool="last"))
    inputs, targets = torch.randn(5, 3, 2), torch.randn(3)
    probe = regressor_probe(network, inputs, targets)
    expected = 0.5 * (targets - network(inputs, torch.full((3,), 5))[:, 0]).square()
    torch.testing.assert_close(probe.losses(probe.inputs), expected)


@pytest.mark.parametrize("season", [1, 4])
def test_direct_forecaster_probe_has_the_models_loss(season: int) -> None:
    shape = WindowShape(2, 1, 8, 3, season, masked=False, normalize=True)
    network = build_forecaster(options("lstm"), shape, "direct")
    torch.nn.init.normal_(network.output.weight)
    batch = WindowBatch(torch.randn(8, 6, 3), torch.randn(3, 6, 3))
    probe = forecaster_probe(network, batch)
    torch.testing.assert_close(probe.losses(probe.inputs).mean(), network.loss(network.batch(batch), ())[0])


def test_recursive_forecaster_probe_has_the_density_of_the_next_step() -> None:
    shape = WindowShape(1, 0, 8, 3, 1, masked=False, normalize=True)
    network = build_forecaster(options("gru"), shape, "recursive")
    batch = WindowBatch(torch.randn(8, 6, 1), torch.randn(3, 6, 1))
    probe = forecaster_probe(network, batch)
    density, _ = network.log_density(network.batch(batch))
    torch.testing.assert_close(probe.losses(probe.inputs), -density[7].sum(1))
    assert len(probe.inputs) == 8


def test_module_without_a_body_is_refused() -> None:
    with pytest.raises(UsageError, match="no body"):
        find_body(torch.nn.Linear(2, 2))
