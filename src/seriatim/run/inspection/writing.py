"""Evidence of models that write texts: translators and captioners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from seriatim.errors import UsageError
from seriatim.insight.added_information import added_information
from seriatim.insight.alignment import Alignment
from seriatim.insight.breakdown import Breakdown, by_size
from seriatim.insight.data import DataMeasures, pair_information
from seriatim.insight.evidence import Limit
from seriatim.insight.information import default_lags, symbol_information
from seriatim.insight.probe import Probe
from seriatim.insight.sample import samples_of
from seriatim.insight.sentence_probe import captioner_probe, translator_probe
from seriatim.models.captioner import Captioner
from seriatim.models.seq2seq import EncoderDecoder
from seriatim.run.inspection.source import SAMPLES, STEPS, Array, Gathered, Source, longest_rows, rows_for, spaced
from seriatim.tasks.common.writing import Writer
from seriatim.tasks.options import WritingOptions

COMPARED = 2000
"""Training pairs that are compared at most."""
PLACES = 8
"""Units of a target that are compared with its source at most."""
WRITTEN = 300
"""Test texts that are written at most, to see which of them are exact."""
FEWEST = 8
"""Sources of equal length that are enough to measure on."""


def gather_translator(source: Source) -> Gathered:
    """Measure test pairs whose sources have equal lengths, and how the targets depend on their sources."""
    train, test = source.train, source.test
    typical = int(np.median([len(part) for part in train.inputs]))
    rows = spaced(len(train), COMPARED)
    longest = int(np.median([len(part) for part in train.targets]))
    is_new = test is train
    data = DataMeasures(
        pair_information(
            [train.inputs[row] for row in rows],
            [train.targets[row] for row in rows],
            default_lags(min(STEPS, typical), 16, 32) - 1,
            spaced(longest, PLACES),
        ),
        measure="information of a source unit about a target unit in bits",
        repeated=0 if is_new else len(set(_pairs(train)).intersection(_pairs(test))),
        test_rows=0 if is_new else len(test),
    )
    limit = Limit(typical, "", "length of a source")
    if not isinstance(source.network, EncoderDecoder):
        return Gathered(data, limit)

    def probe_of(chosen: Array) -> Probe:
        return translator_probe(source.network, test.batch(chosen))

    chosen = _equal_lengths([len(part) for part in test.inputs], rows_for(source.options, typical))
    selected = chosen[spaced(len(chosen), SAMPLES)]
    samples = samples_of(
        probe_of(selected),
        [f" → {text}" for row in selected for text in test.references[row]],
        [source.codec.source.visible_units(test.inputs[row].tolist()) for row in selected],
    )
    return Gathered(
        data,
        limit,
        probe_of(chosen),
        samples,
        alignments=_alignments(source, selected),
        breakdowns=tuple(_errors(source)),
    )


def _errors(source: Source) -> Iterator[Breakdown]:
    """How many test texts are written exactly, by the lengths of source and target."""
    rows = spaced(len(source.test), WRITTEN)
    inputs = [source.test.inputs[row] for row in rows]
    texts = Writer(source.network, source.codec, cast(WritingOptions, source.options)).write(inputs, greedy=True)
    written = [source.codec.script.decode(best.units) for best, *_ in texts]
    is_right = [float(text in source.test.references[row]) for text, row in zip(written, rows, strict=True)]
    for name, parts in (("source", source.test.inputs), ("target", source.test.targets)):
        by_length = by_size(
            f"share of exact texts by length of the {name}", is_right, [len(parts[row]) for row in rows]
        )
        if by_length is not None:
            yield by_length


def gather_captioner(source: Source) -> Gathered:
    """Measure the words of test captions by the words before them; the picture is near to all of them."""
    train, test = source.train, source.test
    captions = [caption for captions in train.targets for caption in captions]
    typical = int(np.median([len(caption) for caption in captions]))
    pairs = symbol_information(captions, default_lags(max(min(STEPS, typical - 1), 1)))
    data = DataMeasures(
        added_information(captions, pairs),
        {"mutual information of units in bits": pairs},
        measure="information beyond a nearer unit in bits",
    )
    limit = Limit(typical, "", "length of a caption")
    if not isinstance(source.network, Captioner):
        return Gathered(data, limit)
    first = [captions[0] for captions in test.targets]
    lengths = np.array([len(caption) for caption in first])
    steps = int(min(STEPS, typical, lengths.max()))

    def probe_of(chosen: Array, count: int) -> Probe:
        units = np.stack([first[row][:count] for row in chosen], 1).astype(np.int64)
        views = source.codec.input_batch([test.inputs[row] for row in chosen])
        return captioner_probe(source.network, views, torch.from_numpy(units))

    chosen = longest_rows(lengths, steps, rows_for(source.options, steps))
    selected = chosen[spaced(len(chosen), SAMPLES)]
    written = [_visible(source, first[row][:steps]) for row in selected]
    samples = samples_of(probe_of(selected, steps), [words[-1] for words in written], [["▷", *w[:-1]] for w in written])
    return Gathered(data, limit, probe_of(chosen, steps), samples, alignments=_alignments(source, selected))


def _visible(source: Source, units: Array) -> list[str]:
    """The units of a caption as texts; its end is ``■``."""
    boundary = source.network.boundary
    return ["■" if unit == boundary else source.codec.script.visible_units([int(unit)])[0] for unit in units]


def _equal_lengths(lengths: Sequence[int], limit: int) -> Array:
    """At most ``limit`` rows of one length: the commonest length that is at least the median, or the commonest."""
    sizes = np.asarray(lengths)
    values, counts = np.unique(sizes, return_counts=True)
    is_long = values >= np.median(sizes)
    best = values[is_long][counts[is_long].argmax()]
    if counts[is_long].max() < FEWEST:
        best = values[counts.argmax()]
    rows = np.flatnonzero(sizes == best)
    chosen: Array = rows[spaced(len(rows), limit)]
    return chosen


def _alignments(source: Source, rows: Array) -> tuple[Alignment, ...]:
    """The texts that the network writes for some test rows, with its attention; none where it has no attention."""
    options = replace(cast(WritingOptions, source.options), alignment=True)
    writer = Writer(source.network, source.codec, options)
    try:
        return tuple(Alignment.of(row["alignment"]) for row in writer.rows([source.test.inputs[row] for row in rows]))
    except UsageError:
        return ()


def _pairs(part: Any) -> list[tuple[bytes, bytes]]:
    return [(a.tobytes(), b.tobytes()) for a, b in zip(part.inputs, part.targets, strict=True)]
