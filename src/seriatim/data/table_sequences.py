"""Reads sequences from a table: a text or a recording in each row, or one step in each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from seriatim.data.sequence_collection import FLOAT32, Sequences, Steps, Targets
from seriatim.data.sound import SoundReader
from seriatim.data.tables import Table


@dataclass(frozen=True)
class TableSequences:
    """Sequences without labels, and the table rows of each sequence."""

    sequences: Sequences
    order: NDArray[np.int64]
    counts: NDArray[np.int64]


def read_texts(table: Table, text: str, group: str | None) -> TableSequences:
    """Read the column ``text``. Raises ``DataError`` for an empty text."""
    texts = table.text(text)
    for row, value in enumerate(texts):
        if not value.strip():
            raise table.fault(row, text, "empty text")
    groups = table.labels(group) if group else None
    locations = [table.location(row) for row in range(len(texts))]
    return TableSequences(
        Sequences(texts, None, groups, locations), np.arange(len(texts)), np.ones(len(texts), dtype=np.int64)
    )


def read_recordings(table: Table, sound: str, reader: SoundReader, group: str | None) -> TableSequences:
    """Read the recordings whose paths are in the column ``sound``, by ``reader``."""
    frames, hashes = reader.read_column(table, sound)
    groups = table.labels(group) if group else None
    locations = [table.location(row) for row in range(len(frames))]
    sequences = Sequences(cast("list[Steps]", frames), None, groups, locations, hashes=hashes)
    return TableSequences(sequences, np.arange(len(frames)), np.ones(len(frames), dtype=np.int64))


def read_steps(
    table: Table,
    channels: Sequence[str],
    id: str | None,
    time: str | None,
    group: str | None,
    date_format: str | None,
) -> TableSequences:
    """Read ``channels``, one step in each row; rows of the same ``id`` are a sequence, in order or sorted by ``time``.

    Raises ``DataError`` for a missing value, one that is too large, and a group that changes within a sequence.
    """
    values = table.numbers(channels)
    faults = {"missing value": np.isnan(values), "too large for float32": np.abs(values) > FLOAT32}
    for fault, wrong in faults.items():
        if wrong.any():
            row, channel = divmod(int(wrong.argmax()), len(channels))
            raise table.fault(row, channels[channel], f"{fault}, {int(wrong.sum())} in all")
    codes, names = table.codes(id) if id else (np.arange(len(table)), None)
    order = (
        np.argsort(codes, kind="stable")
        if time is None
        else np.lexsort((table.timestamps(time, date_format).values, codes))
    )
    counts = np.bincount(codes)
    ends = np.cumsum(counts)
    inputs = np.split(values[order], ends[:-1])
    first = np.unique(codes, return_index=True)[1]
    locations = [
        f"{table.name} {id} '{name}' ({table.line(row)})" if id else table.location(row)
        for name, row in zip(names or first, first, strict=True)
    ]
    rows = TableSequences(Sequences(inputs, None, None, locations, None, names), order, counts)
    return replace(
        rows, sequences=replace(rows.sequences, groups=constant_values(rows, table, group, "group") if group else None)
    )


def constant_values(rows: TableSequences, table: Table, column: str, noun: str) -> list[str]:
    """Return the value of ``column`` in each sequence; it must not change within a sequence."""
    codes, names = table.codes(column, noun)
    ordered = codes[rows.order]
    starts = np.cumsum(rows.counts) - rows.counts
    firsts = ordered[starts]
    changed = np.flatnonzero(ordered != np.repeat(firsts, rows.counts))
    if len(changed):
        at = int(changed[0])
        sequence = int(np.searchsorted(starts, at, side="right")) - 1
        change = f"'{names[ordered[at]]}', but '{names[firsts[sequence]]}' before in the same sequence"
        raise table.fault(int(rows.order[at]), column, change)
    return [names[code] for code in firsts]


def read_targets(rows: TableSequences, table: Table, column: str, every_step: bool) -> list[Targets]:
    """Return the numbers in ``column``: one for each sequence ``[1]``, or with ``every_step`` one per step ``[T]``."""
    values = table.numbers([column])[:, 0]
    wrong = np.abs(values) > FLOAT32
    if wrong.any():
        raise table.fault(int(wrong.argmax()), column, "too large for float32")
    missing = np.isnan(values)
    if missing.all() if every_step else missing.any():
        raise table.fault(int(missing.argmax()), column, f"no target, {int(missing.sum())} in all")
    ordered = values[rows.order]
    ends = np.cumsum(rows.counts)
    if every_step:
        return np.split(ordered, ends[:-1])
    firsts = ordered[ends - rows.counts]
    changed = np.flatnonzero(ordered != np.repeat(firsts, rows.counts))
    if len(changed):
        at = int(changed[0])
        previous = firsts[int(np.searchsorted(ends, at, side="right"))]
        change = (
            f"{ordered[at]:g}, but {previous:g} before in the same sequence; --every-step makes each row an example"
        )
        raise table.fault(int(rows.order[at]), column, change)
    return list(firsts[:, None])
