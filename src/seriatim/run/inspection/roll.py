"""Evidence of a model of piano rolls: pieces of steps with several notes each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from seriatim.insight.added_information import added_information
from seriatim.insight.data import DataMeasures
from seriatim.insight.evidence import Limit
from seriatim.insight.information import default_lags, symbol_information
from seriatim.insight.probe import Probe, roll_probe
from seriatim.insight.sample import samples_of
from seriatim.models.roll import RollModel
from seriatim.run.inspection.source import (
    SAMPLE_STEPS,
    SAMPLES,
    STEPS,
    Array,
    Gathered,
    Source,
    longest_rows,
    rows_for,
    spaced,
)


def gather(source: Source) -> Gathered:
    """Measure the beginnings of test pieces, and the mutual information of chords in the training part."""
    train, test = source.train, source.test
    typical = int(np.median(train.lengths))
    longest = max(min(STEPS, typical - 1), 1)
    chords = _chords(train.rolls)
    pairs = symbol_information(chords, default_lags(longest))
    data = DataMeasures(
        added_information(chords, pairs),
        {"mutual information of chords in bits": pairs},
        measure="information beyond a nearer chord in bits",
    )
    limit = Limit(typical, "", "length of a piece")
    if not isinstance(source.network, RollModel):
        return Gathered(data, limit)
    steps = int(min(longest, test.lengths.max() - 1))
    if steps < 1:
        return Gathered(data, limit)
    rows = longest_rows(test.lengths, steps + 1, rows_for(source.options, steps))

    def probe_of(chosen: Array, count: int) -> Probe:
        notes = np.stack([test.rolls[row][: steps + 1][-count - 1 :] for row in chosen], 1)
        return roll_probe(source.network, torch.from_numpy(notes).float())

    selected, count = rows[spaced(len(rows), SAMPLES)], min(steps, SAMPLE_STEPS)
    shown = [test.rolls[row][: steps + 1][-count - 1 :] for row in selected]
    samples = samples_of(
        probe_of(selected, count),
        [_chord(roll[-1]) for roll in shown],
        [[_chord(step) for step in roll[:-1]] for roll in shown],
    )
    return Gathered(data, limit, probe_of(rows, steps), samples)


def _chords(rolls: Sequence[Array]) -> list[Array]:
    """Each step's set of notes as one symbol."""
    numbers: dict[bytes, int] = {}
    packed = [np.packbits(np.asarray(roll) > 0, axis=1) for roll in rolls]
    return [np.array([numbers.setdefault(step.tobytes(), len(numbers)) for step in roll]) for roll in packed]


def _chord(step: Array) -> str:
    """The numbers of a step's notes (from 0); a rest is ``–``."""
    return "+".join(map(str, np.flatnonzero(step))) or "–"
