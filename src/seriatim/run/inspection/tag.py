"""Evidence of a tagger: sentences with a tag for each word."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seriatim.insight.added_information import added_information
from seriatim.insight.breakdown import Breakdown, by_group, by_size
from seriatim.insight.calibration import Calibration, calibration
from seriatim.insight.data import DataMeasures
from seriatim.insight.evidence import Limit
from seriatim.insight.information import default_lags, symbol_information
from seriatim.insight.sample import Sample, samples_of
from seriatim.insight.sentence_probe import tagger_probe, whole_sentence_probe
from seriatim.models.tagger import Tagger
from seriatim.notation import UNKNOWN
from seriatim.run.inspection.source import SAMPLE_STEPS, SAMPLES, STEPS, Gathered, Source, longest_rows, rows_for
from seriatim.tasks.common.tag_codec import Sentences
from seriatim.tasks.common.tagging import decode, log_probabilities

FREQUENCIES = (1, 2, 10, 100)
"""Bounds of the groups by how often a word occurs."""


def gather(source: Source) -> Gathered:
    """Measure the tag of one word in each test sentence, and how the tags of the training part depend on each other.

    The word is the one at the median length, so that as many words are before it as there usually are.
    """
    train, test = source.train, source.test
    typical = int(np.median(train.lengths))
    tags = [part for part in train.tags if len(part)]
    pairs = symbol_information(tags, default_lags(max(min(STEPS, typical - 1), 1)))
    data = DataMeasures(
        added_information(tags, pairs),
        {"mutual information of tags in bits": pairs},
        measure="information of a tag beyond a nearer one in bits",
        repeated=0 if test is train else _repeated(train, test),
        test_rows=0 if test is train else len(test),
    )
    limit = Limit(typical, "", "length of a sentence")
    if not isinstance(source.network, Tagger):
        return Gathered(data, limit)
    count = len(source.codec.tags)
    known = np.array([len(sentence) > 0 and bool((sentence < count).all()) for sentence in test.tags])
    lengths = np.where(known, test.lengths, 0)
    steps = int(min(STEPS, typical, lengths.max()))
    if not steps:
        return Gathered(data, limit)
    batch = test.batch(longest_rows(lengths, steps, rows_for(source.options, steps)))
    samples = _samples(source, lengths, min(steps, SAMPLE_STEPS))
    return Gathered(
        data,
        limit,
        tagger_probe(source.network, batch, steps - 1),
        samples,
        calibration=_calibration(source, lengths),
        breakdowns=tuple(_errors(source, lengths)),
    )


def _samples(source: Source, lengths: np.ndarray, steps: int) -> tuple[Sample, ...]:
    """Whole sentences; the tag in question is of the word in the middle of what a sentence usually has."""
    rows, step = longest_rows(lengths, steps, SAMPLES), (steps - 1) // 2
    samples: list[Sample] = []
    for row in rows:  # one by one, since their lengths differ
        batch = source.test.batch(np.array([row]))
        words = source.test.texts[row]
        outcome = f"{words[step]} → {source.codec.tags.names[source.test.tags[row][step]]}"
        samples += samples_of(whole_sentence_probe(source.network, batch, step), [outcome], [words], step)
    return tuple(samples)


def _calibration(source: Source, lengths: np.ndarray) -> Calibration | None:
    """Of single words. A CRF has probabilities of whole sentences only."""
    if source.network.crf is not None:
        return None
    log_chances = log_probabilities(source.network, source.test)
    rows = np.flatnonzero(lengths)
    return calibration(
        np.exp(np.concatenate([log_chances[row] for row in rows])),
        np.concatenate([source.test.tags[row] for row in rows]),
    )


def _errors(source: Source, lengths: np.ndarray) -> Iterator[Breakdown]:
    """Accuracy by tag, by how often the word is in the training part, and by the length of the sentence."""
    decoded = decode(source.network, source.test)
    rows = np.flatnonzero(lengths)
    tags, words = (np.concatenate([part[row] for row in rows]) for part in (source.test.tags, source.test.words))
    is_right = (np.concatenate([decoded[row] for row in rows]) == tags).astype(float)
    yield by_group("accuracy by tag", is_right, tags, list(source.codec.tags.names))
    counts = np.bincount(np.concatenate(source.train.words), minlength=len(source.codec.vocabulary))
    counts[UNKNOWN] = 0
    known = np.minimum(np.searchsorted(FREQUENCIES, counts[words], side="right"), len(FREQUENCIES))
    names = ["not once", "once", "2 to 9 times", "10 to 99 times", "100 times or more"]
    yield by_group("accuracy by how often the word is in the training part", is_right, known, names)
    by_length = by_size("accuracy by length of the sentence", is_right, np.repeat(lengths[rows], lengths[rows]))
    if by_length is not None:
        yield by_length


def _repeated(train: Sentences, test: Sentences) -> int:
    """Count the test sentences that are in the training part as well."""
    known = set(map(tuple, train.texts))
    return sum(tuple(words) in known for words in test.texts)
