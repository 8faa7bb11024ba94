"""Evidence of a language model: texts of units, each predicted from those before it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from seriatim.encoding.vocabulary import Vocabulary
from seriatim.insight.added_information import added_information
from seriatim.insight.data import DataMeasures
from seriatim.insight.evidence import Limit
from seriatim.insight.followers import bracket_depth, followers, steps_since
from seriatim.insight.information import default_lags, symbol_information
from seriatim.insight.network import states_of
from seriatim.insight.probe import language_probe
from seriatim.insight.sample import samples_of
from seriatim.learning.options import truncation_of
from seriatim.models.language import SoftmaxLanguageModel
from seriatim.run.inspection.errors import unit_errors
from seriatim.run.inspection.source import SAMPLE_STEPS, SAMPLES, STEPS, Array, Gathered, Source, rows_for, spaced

UNITS = 1_000_000
"""Units of the training part that are compared with each other at most."""


def gather(source: Source) -> Gathered:
    """Measure windows of the test part, spaced over it, and the mutual information of units in the training part."""
    options, train, test = source.options, source.train, source.test
    bounds = [*train.starts.tolist(), len(train.tokens)] if len(train.starts) else [0, len(train.tokens)]
    documents = [train.tokens[start:stop] for start, stop in itertools.pairwise(bounds) if stop > start]
    measured = list(_first(documents, UNITS))
    typical = int(np.median([len(document) for document in documents]))
    longest = max(min(STEPS, typical - 1), 1)
    pairs = symbol_information(measured, default_lags(longest))
    data = DataMeasures(
        added_information(measured, pairs),
        {"mutual information in bits": pairs},
        measure="information beyond a nearer step in bits",
    )
    limit = Limit(typical, "", "length of a document")
    if options.learner == "tbptt":
        limit = Limit(truncation_of(options)[1], "--truncation", "truncation")
    if not isinstance(source.network, SoftmaxLanguageModel):
        return Gathered(data, limit)
    steps = min(longest, len(test.tokens) - 1)
    starts = spaced(len(test.tokens) - steps, rows_for(options, steps))
    units = np.stack([test.tokens[start : start + steps + 1] for start in starts], 1).astype(np.int64)
    sample_units = units[-SAMPLE_STEPS - 1 :, spaced(units.shape[1], SAMPLES)]
    captions = [[source.codec.tokens[unit] for unit in row] for row in sample_units.T]
    samples = samples_of(
        language_probe(source.network, torch.from_numpy(sample_units)),
        [caption[-1] for caption in captions],
        [caption[:-1] for caption in captions],
    )
    probe = language_probe(source.network, torch.from_numpy(units))
    states = states_of(probe)
    follower_list = () if states is None else followers(states, _quantities(source.codec, torch.from_numpy(units[:-1])))
    breakdowns = tuple(unit_errors(source.network, source, units))
    return Gathered(data, limit, probe, samples, follower_list, breakdowns=breakdowns)


def _first(documents: Sequence[Array], count: int) -> Iterator[Array]:
    """The first documents, ``count`` units in all; the last one may be cut."""
    for document in documents:
        yield document[:count]
        count -= len(document)
        if count <= 0:
            return


def _quantities(codec: Vocabulary, units: Tensor) -> dict[str, Tensor]:
    """Quantities in a text [T, B] that units of a recurrent layer are known to follow."""

    def numbers(*names: str) -> set[int]:
        return {number for number, token in enumerate(codec.tokens) if token in names}

    return {
        "steps since the end of a line": steps_since(units, numbers("\n", "<eos>")),
        "steps since a space": steps_since(units, numbers(" ")),
        "depth of brackets": bracket_depth(units, numbers(*"([{"), numbers(*")]}")),
    }
