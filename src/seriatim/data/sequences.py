"""Reads sequences of text, sound or numbers, each with a label, a target number, or a target for each step."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from seriatim.data.archive import read_ts
from seriatim.data.arrays import to_float64
from seriatim.data.cell_values import CellError, to_names
from seriatim.data.collection import Collection, duplicate_key
from seriatim.data.compression import format_suffix
from seriatim.data.files import check_unicode
from seriatim.data.frames import from_array, from_values
from seriatim.data.sound import SUFFIXES, SoundReader
from seriatim.data.tables import Table, open_table
from seriatim.errors import DataError, UsageError

Steps = NDArray[np.float64]
"""float64, because float32 loses small differences of large numbers; frames of sound are float32 all the same."""
Targets = NDArray[np.float64]

FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Sequences(Collection):
    """Sequences in the order of their file."""

    plural: ClassVar[str] = "sequences"
    compared: ClassVar[str] = "inputs"

    inputs: list[str] | list[Steps]
    """Texts, or arrays ``[T, C]``."""
    labels: list[str] | None
    """One label for each sequence, or ``None`` if the data have no labels."""
    groups: list[str] | None
    locations: list[str]
    """Location of each sequence, for messages: ``sms.tsv line 3``."""
    targets: list[Targets] | None = None
    """For each sequence one number ``[1]``, or one per step ``[T]`` with NaN for steps without a target."""
    names: list[str] | None = None
    """Id of each sequence in the table, if rows are steps."""
    hashes: list[str] | None = None
    """Content hash of each recording."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def channels(self) -> int | None:
        """Number of channels C, or ``None`` for text."""
        first = self.inputs[0]
        return None if isinstance(first, str) else first.shape[1]

    @property
    def texts(self) -> list[str]:
        """The inputs, typed as texts."""
        return cast("list[str]", self.inputs)

    @property
    def arrays(self) -> list[Steps]:
        """The inputs, typed as arrays."""
        return cast("list[Steps]", self.inputs)

    @property
    def keys(self) -> list[Hashable]:
        return list(map(duplicate_key, self.inputs))

    @property
    def content(self) -> object:
        """Content to hash: numbers as float32; recordings as samples, whose frames may differ in the last bit."""
        answers = self.labels if self.targets is None else self.targets
        inputs = self.inputs if self.channels is None else [values.astype(np.float32) for values in self.arrays]
        return (self.hashes or inputs, answers)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Sequences:
        def select(values: list[Any] | None) -> Any:
            return None if values is None else [values[index] for index in indices]

        return Sequences(**{field.name: select(getattr(self, field.name)) for field in fields(self)})


def read_sequences(
    source: object,
    *,
    text: str | None = None,
    sound: str | None = None,
    reader: SoundReader | None = None,
    label: str | None = None,
    target: str | None = None,
    every_step: bool = False,
    channels: Sequence[str] = (),
    id: str | None = None,
    time: str | None = None,
    group: str | None = None,
    date_format: str | None = None,
    header: bool = True,
    need_label: bool = True,
) -> Sequences:
    """Read sequences. ``source`` is one of these:

    - a ``.ts`` file of the UEA archive, which needs no options;
    - a table (see ``open_table``) with a ``text`` column, one sequence per row;
    - a table with a ``sound`` column of paths, read by ``reader``, one sequence per row; without ``need_label`` also
      the path of a single recording;
    - a table with numeric ``channels`` and a column ``id``, one step per row: rows in order, or sorted by ``time``;
      without ``id`` each row is a sequence of one step;
    - in memory, ``(X, y)`` or ``X`` alone. ``X`` is a list of texts, a list of arrays ``[T, C]`` or ``[T]``, or one
      array ``[N, T, C]`` or ``[N, T]``; ``y`` holds labels of any scalar type.

    Each sequence has a ``label`` (a class) or a ``target`` (a number). With ``every_step`` the target may differ from
    step to step, or be missing. If ``target`` is not None, even if empty, a ``.ts`` file or ``y`` must hold numbers.

    Without ``need_label`` labels and targets may be missing. Raises ``UsageError`` for options that do not fit or a
    column that does not exist. Raises ``DataError`` with the location of an empty text, a recording that cannot be
    read, a missing value or an infinity, and of a label, target or group that is missing or changes within an ``id``.
    """
    numeric = target is not None
    if isinstance(source, (str, Path)) and format_suffix(source) == ".ts":
        sequences = _from_archive(source, numeric)
    elif isinstance(source, (str, Path)) and Path(source).suffix.lower() in SUFFIXES and sound and not need_label:
        frames, hash = (reader or SoundReader()).read(Path(source))
        return Sequences(cast("list[Steps]", [frames]), None, None, [str(source)], hashes=[hash])
    elif (memory := _in_memory(source, bool(text or sound or channels))) is not None:
        sequences = _from_memory(*memory, numeric)
    else:
        inputs = [name for name, value in (("text", text), ("sound", sound), ("channels", channels)) if value]
        if len(inputs) != 1:
            raise UsageError(
                f"{' and '.join(inputs)}: give one of them, not both"
                if inputs
                else "text: name the column of the text or sound, or channels and id"
            )
        answer, noun = (target, "target") if numeric else (label, "label")
        if need_label and not answer:
            raise UsageError(f"{noun}: name the column of the {noun}")
        columns = [text] if text else [sound] if sound else channels
        needed = [*columns, *(name for name in (id, time, group) if name)]
        answers = [answer] if answer else []
        table = open_table(
            source,
            header=header,
            columns=[name for name in [*needed, *(answers if need_label else [])] if name],
            optional=() if need_label else answers,
        )
        if text:
            rows = _texts(table, text, group)
        elif sound:
            rows = _recordings(table, sound, reader or SoundReader(), group)
        else:
            rows = _steps(table, channels, id, time, group, date_format)
        if not answer or not table.has(answer):
            return rows.sequences
        try:
            if numeric:
                return replace(rows.sequences, targets=_targets(rows, table, answer, every_step))
            return replace(rows.sequences, labels=_constant(rows, table, answer, "label"))
        except DataError:
            if need_label:
                raise
            return rows.sequences
    if group:
        raise UsageError("group: only for tables")
    if need_label and sequences.labels is None and sequences.targets is None:
        name = source if isinstance(source, (str, Path)) else "data"
        raise DataError(f"{name}: no {'targets' if numeric else 'labels'}")
    return sequences


@dataclass(frozen=True)
class _Rows:
    """Sequences without labels, and the table rows of each sequence."""

    sequences: Sequences
    order: NDArray[np.int64]
    counts: NDArray[np.int64]


def _texts(table: Table, text: str, group: str | None) -> _Rows:
    texts = table.text(text)
    for row, value in enumerate(texts):
        if not value.strip():
            raise table.fault(row, text, "empty text")
    groups = table.labels(group) if group else None
    locations = [table.location(row) for row in range(len(texts))]
    return _Rows(Sequences(texts, None, groups, locations), np.arange(len(texts)), np.ones(len(texts), dtype=np.int64))


def _recordings(table: Table, sound: str, reader: SoundReader, group: str | None) -> _Rows:
    frames, hashes = reader.read_column(table, sound)
    groups = table.labels(group) if group else None
    locations = [table.location(row) for row in range(len(frames))]
    sequences = Sequences(cast("list[Steps]", frames), None, groups, locations, hashes=hashes)
    return _Rows(sequences, np.arange(len(frames)), np.ones(len(frames), dtype=np.int64))


def _steps(
    table: Table,
    channels: Sequence[str],
    id: str | None,
    time: str | None,
    group: str | None,
    date_format: str | None,
) -> _Rows:
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
    rows = _Rows(Sequences(inputs, None, None, locations, None, names), order, counts)
    return replace(
        rows, sequences=replace(rows.sequences, groups=_constant(rows, table, group, "group") if group else None)
    )


def _constant(rows: _Rows, table: Table, column: str, noun: str) -> list[str]:
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


def _targets(rows: _Rows, table: Table, column: str, every_step: bool) -> list[Targets]:
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


def _from_archive(path: str | Path, numeric: bool) -> Sequences:
    cases, labels = read_ts(path, numeric=numeric)
    locations = [f"{path} case {number}" for number in range(1, len(cases) + 1)]
    checked = _checked(cases, locations)
    if numeric:
        return Sequences(
            checked, None, None, locations, list(np.array(labels, np.float64)[:, None]) if labels else None
        )
    return Sequences(checked, labels or None, None, locations)


def _in_memory(source: object, table: bool) -> tuple[Any, Any] | None:
    """Return ``X`` and ``y`` (or ``None``) if ``source`` holds sequences; ``None`` if it is a table."""
    if isinstance(source, tuple) and len(source) == 2 and not isinstance(source[0], (str, Path)):
        return source
    if isinstance(source, np.ndarray):
        return (source, None) if source.ndim == 3 or source.ndim == 1 or not table else None
    if isinstance(source, list) and source:
        if all(isinstance(item, (str, np.ndarray)) for item in source):
            return source, None
        if not table and all(isinstance(item, (list, tuple)) for item in source):
            return source, None
    return None


def _from_memory(inputs: Any, answers: Any, numeric: bool) -> Sequences:
    if hasattr(inputs, "to_list"):  # a series of texts
        inputs = inputs.to_list()
    elif isinstance(inputs, np.ndarray):
        inputs = list(inputs)
    if not isinstance(inputs, (list, tuple)):
        raise UsageError(f"data: X is {type(inputs).__name__}, wanted a list of texts or of arrays, or one array")
    if not len(inputs):
        raise DataError("data: no sequences")
    locations = [f"data item {number}" for number in range(1, len(inputs) + 1)]
    labels = None if answers is None or numeric else _as_labels(answers, len(inputs))
    targets = None if answers is None or not numeric else _as_targets(answers, len(inputs))
    if all(isinstance(text, str) for text in inputs):
        for text, location in zip(inputs, locations, strict=True):
            if not text.strip():
                raise DataError(f"{location}: empty text")
            check_unicode(text, location)
        return Sequences([str(text) for text in inputs], labels, None, locations, targets)
    return Sequences(_checked(inputs, locations), labels, None, locations, targets)


def _as_labels(labels: Any, count: int) -> list[str]:
    values = (
        labels if isinstance(labels, np.ndarray) else np.asarray(labels) if hasattr(labels, "dtype") else list(labels)
    )
    if len(values) != count:
        raise DataError(f"data: {len(values)} labels for {count} sequences")
    try:
        cells = from_array(values, "y") if isinstance(values, np.ndarray) else from_values(values, "y")
        return to_names(cells, "label").to_list()
    except CellError as error:
        raise DataError(f"data item {error.row + 1}: {error.fault}") from None


def _as_targets(targets: Any, count: int) -> list[Targets]:
    try:
        values = to_float64(targets)
    except (TypeError, ValueError):
        raise DataError("data: y is not an array of numbers") from None
    if values.shape != (count,):
        raise DataError(f"data: targets of shape {values.shape}, wanted ({count},), one for each sequence")
    wrong = ~(np.abs(values) <= FLOAT32)
    if wrong.any():
        raise DataError(f"data item {int(wrong.argmax()) + 1}: target: {_problem(values[wrong][0])}")
    return list(values[:, None])


def _checked(inputs: Sequence[Any], locations: Sequence[str]) -> list[Steps]:
    """Convert inputs to finite ``[T, C]`` with at least one step and the same C."""
    checked: list[Steps] = []
    for item, location in zip(inputs, locations, strict=True):
        try:
            values = to_float64(item)
        except (TypeError, ValueError):
            raise DataError(f"{location}: not an array of numbers") from None
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2:
            raise DataError(f"{location}: shape {values.shape}, wanted [T, C] or [T]")
        if not len(values) or not values.shape[1]:
            raise DataError(f"{location}: empty")
        if checked and values.shape[1] != checked[0].shape[1]:
            raise DataError(f"{location}: {values.shape[1]} channels, wanted {checked[0].shape[1]} as in the first")
        wrong = np.argwhere(~np.isfinite(values) | (np.abs(values) > FLOAT32))
        if len(wrong):
            step, channel = (int(index) for index in wrong[0])
            raise DataError(f"{location}: step {step + 1}, channel {channel + 1}: {_problem(values[step, channel])}")
        checked.append(values)
    return checked


def _problem(value: float) -> str:
    return (
        "missing value" if np.isnan(value) else f"{value} is not finite" if np.isinf(value) else "too large for float32"
    )
