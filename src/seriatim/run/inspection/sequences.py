"""Evidence of classifiers and regressors: whole sequences with a label or a number each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from seriatim.errors import DataError
from seriatim.insight.calibration import calibration
from seriatim.insight.data import DataMeasures, constant_columns, label_information, repeated_rows
from seriatim.insight.evidence import Limit
from seriatim.insight.followers import Follower, followers
from seriatim.insight.information import default_lags
from seriatim.insight.network import states_of
from seriatim.insight.probe import Probe, classifier_probe, regressor_probe
from seriatim.insight.sample import feature_shares, samples_of
from seriatim.models.classifier import RecurrentClassifier, SequenceClassifier
from seriatim.models.regressor import Regressor
from seriatim.models.subwords import SubwordBatch
from seriatim.run.inspection.errors import class_errors, number_errors
from seriatim.run.inspection.source import SAMPLE_STEPS, SAMPLES, STEPS, Array, Gathered, Source, rows_for, spaced
from seriatim.tasks.classify import probabilities
from seriatim.tasks.common.sequence_inputs import sequence_lengths
from seriatim.tasks.common.subwords import WordForms
from seriatim.tasks.regress import predictions

COMPARED = 2000
"""Training sequences that are compared with their labels at most."""
LEVELS = (0.2, 0.4, 0.6, 0.8)
"""Quantiles at which the targets of a regression are cut into labels."""


def gather_classes(source: Source) -> Gathered:
    """Measure the test sequences of a classifier."""
    names = source.codec.labels.names
    train = source.train.known(len(names))
    test = train if source.test is source.train else source.test.known(len(names))
    source = replace(source, train=train, test=test)
    if not len(source.test):
        raise DataError("inspect: none of the labels of these data is in the training part")
    network, labels = source.network, source.test.labels
    is_measured = isinstance(network, RecurrentClassifier)

    def make(inputs: Tensor, rows: Array) -> Probe:
        subwords = _subwords(source.test.forms, rows, len(inputs))
        return classifier_probe(network, inputs, torch.from_numpy(labels[rows]), subwords)

    gathered = _gather(
        source,
        source.train.labels,
        make if is_measured else None,
        lambda row: str(names[labels[row]]),
        lambda rows: labels[rows],
    )
    if not isinstance(network, SequenceClassifier):
        return gathered
    chances = probabilities(network, source.test)
    text_names = [str(name) for name in names]
    breakdowns = tuple(class_errors(chances, labels, text_names, sequence_lengths(source.test.inputs)))
    return replace(gathered, calibration=calibration(chances, labels), breakdowns=breakdowns)


def gather_numbers(source: Source) -> Gathered:
    """Measure the test sequences of a regressor."""
    network, targets, scaled = source.network, source.train.scaled, source.test.scaled
    is_measured = isinstance(network, Regressor) and isinstance(network.network, RecurrentClassifier)

    def make(inputs: Tensor, rows: Array) -> Probe:
        subwords = _subwords(source.test.forms, rows, len(inputs))
        return regressor_probe(network, inputs, torch.from_numpy(scaled[rows]), subwords)

    labels = np.searchsorted(np.quantile(targets, LEVELS), targets)
    gathered = _gather(
        source,
        labels,
        make if is_measured else None,
        lambda row: f"{source.test.targets[row]:.4g}",
        lambda rows: source.test.targets[rows],
    )
    predicted = predictions(network, source.codec, source.test)[:, 0]
    lengths = sequence_lengths(source.test.inputs)
    return replace(gathered, breakdowns=tuple(number_errors(predicted, source.test.targets, lengths)))


def _gather(
    source: Source,
    labels: Array,
    make: Callable[[Tensor, Array], Probe] | None,
    outcome: Callable[[int], str],
    labels_of: Callable[[Array], Array],
) -> Gathered:
    """``make`` gives the probe of some test rows, ``outcome`` the caption of a row's label, ``labels_of`` their labels.

    ``labels`` are those of the training part.
    """
    train, test = source.train.inputs, source.test.inputs
    typical = int(np.median([len(part) for part in train]))
    data, limit = _data(source, labels, typical), Limit(typical, "", "length of a sequence")
    if make is None:
        return Gathered(data, limit)
    steps = min(STEPS, typical, max(len(part) for part in test))
    long = np.array([row for row, part in enumerate(test) if len(part) >= steps])
    rows = long[spaced(len(long), rows_for(source.options, steps))]
    inputs = torch.from_numpy(np.stack([test[row][-steps:] for row in rows], 1))
    inputs = inputs if inputs.is_floating_point() else inputs.long()
    selected = spaced(len(rows), SAMPLES)
    sample_inputs = inputs[-SAMPLE_STEPS:, selected]
    vocabulary = source.codec.inputs.vocabulary
    captions = [[vocabulary.tokens[unit] for unit in row] for row in sample_inputs.T.tolist()] if vocabulary else None
    samples = samples_of(make(sample_inputs, rows[selected]), [outcome(row) for row in rows[selected]], captions)
    probe = make(inputs, rows)
    features = () if vocabulary else feature_shares(samples, _channel_names(source, inputs.shape[2]))
    return Gathered(data, limit, probe, samples, _label_followers(probe, labels_of(rows)), features=features)


def _subwords(forms: WordForms | None, rows: Array, steps: int) -> SubwordBatch | None:
    """The n-grams of the last ``steps`` words of each row."""
    return None if forms is None else forms.last(rows, steps).batch(np.arange(len(rows)))


def _label_followers(probe: Probe, labels: Array) -> tuple[Follower, ...]:
    """Units whose last state follows the label, or the number, of the sequence."""
    states = states_of(probe)
    if states is None or len(labels) < 3:
        return ()
    if np.issubdtype(labels.dtype, np.floating):
        return followers(states[-1:], {"the target": torch.from_numpy(labels)[None].double()})
    classes = np.unique(labels)
    if len(classes) == 2:
        return followers(states[-1:], {"the label": torch.from_numpy(labels == classes[1])[None].double()})
    return ()


def _channel_names(source: Source, count: int) -> tuple[str, ...]:
    channels = tuple(getattr(source.options, "channels", ()))
    return channels if len(channels) == count else tuple(str(number + 1) for number in range(count))


def _data(source: Source, labels: Array, typical: int) -> DataMeasures:
    train, test = source.train.inputs, source.test.inputs
    is_new = source.test is source.train
    repeated, test_rows = (0, 0) if is_new else (repeated_rows(train, test), len(test))
    if train[0].ndim == 1:  # one word at one place says too little of a text's label to differ from chance
        return DataMeasures(repeated=repeated, test_rows=test_rows)
    columns = train[0].shape[1]
    names = _channel_names(source, columns)
    compared = spaced(len(train), COMPARED)
    lags = default_lags(min(STEPS, typical), 16, 32) - 1
    return DataMeasures(
        label_information([train[row] for row in compared], labels[compared], lags),
        measure="mutual information with the label in bits",
        constant=constant_columns(train, names),
        repeated=repeated,
        test_rows=test_rows,
    )
