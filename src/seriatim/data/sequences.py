"""Sequences of text, sound or numbers, and what is to be said of each: a label, a number, or a number per step."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from seriatim.data.archive import read_ts
from seriatim.data.cell_values import CellError, to_strings
from seriatim.data.collection import Collection, key
from seriatim.data.frames import from_array, from_values
from seriatim.data.sound import SUFFIXES, SoundReader
from seriatim.data.tables import Table, open_table
from seriatim.errors import DataError, UsageError

Steps = NDArray[np.float32]
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
    """One label each; ``None`` where there are none to predict from."""
    groups: list[str] | None
    locations: list[str]
    """Where each stands, for messages: ``sms.tsv line 3``."""
    targets: list[Targets] | None = None
    """One number each ``[1]``, or one per step ``[T]``, NaN where a step has none."""
    names: list[str] | None = None
    """What the table calls each of them, where rows are steps."""
    hashes: list[str] | None = None
    """Of recordings: of what stands in each file."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def channels(self) -> int | None:
        """C, or ``None`` for text."""
        first = self.inputs[0]
        return None if isinstance(first, str) else first.shape[1]

    @property
    def texts(self) -> list[str]:
        """The inputs, when they are texts."""
        return cast("list[str]", self.inputs)

    @property
    def arrays(self) -> list[Steps]:
        """The inputs, when they are numbers."""
        return cast("list[Steps]", self.inputs)

    @property
    def keys(self) -> list[Hashable]:
        return list(map(key, self.inputs))

    @property
    def content(self) -> object:
        """What to hash: recordings as they are in their files, for their frames may differ in the last bit."""
        answers = self.labels if self.targets is None else self.targets
        return (self.hashes or self.inputs, answers)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Sequences:
        def taken(values: list[Any] | None) -> Any:
            return None if values is None else [values[index] for index in indices]

        return Sequences(**{field.name: taken(getattr(self, field.name)) for field in fields(self)})


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
    header: bool = True,
    need_label: bool = True,
) -> Sequences:
    """Sequences from whatever holds them.

    - a ``.ts`` file of the UEA archive, which needs no options;
    - a table (see ``open_table``) with a ``text`` column, a sequence per row;
    - a table with a ``sound`` column of paths, read by ``reader``, a sequence per row; without ``need_label`` also
      the path of a single recording;
    - a table with numeric ``channels`` and a column ``id``, a step per row: rows in order, or sorted by ``time``;
      without ``id`` each row is a sequence of one step;
    - in memory, ``(X, y)`` or ``X`` alone, where ``X`` is a list of texts, a list of arrays ``[T, C]`` or ``[T]``, or
      one array ``[N, T, C]`` or ``[N, T]``, and ``y`` labels of any scalar type.

    What is to be said of them is a ``label``, or a number: the ``target``, which with ``every_step`` may be another at
    each step of an ``id``, or missing. A file or ``y`` in memory hold numbers when ``target`` is given, were it empty.

    Without ``need_label`` labels and targets may be missing. Raises ``UsageError`` for options that do not fit or a
    column that does not exist, ``DataError`` with the place of an empty text, a recording that cannot be read, a
    missing value or an infinity, and of a label, target or group that is missing or changes within an ``id``.
    """
    numeric = target is not None
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".ts":
        found = _from_archive(source, numeric)
    elif isinstance(source, (str, Path)) and Path(source).suffix.lower() in SUFFIXES and sound and not need_label:
        frames, hash = (reader or SoundReader()).read(Path(source))
        return Sequences([frames], None, None, [str(source)], hashes=[hash])
    elif (memory := _in_memory(source, bool(text or sound or channels))) is not None:
        found = _from_memory(*memory, numeric)
    else:
        given = [name for name, value in (("text", text), ("sound", sound), ("channels", channels)) if value]
        if len(given) != 1:
            raise UsageError(
                f"{' and '.join(given)}: give one of them, not both"
                if given
                else "text: name the column of the text, or of the sound, or channels and id"
            )
        answer, what = (target, "target") if numeric else (label, "label")
        if need_label and not answer:
            raise UsageError(f"{what}: name the column of the {what}")
        named = [text] if text else [sound] if sound else channels
        needed = [*named, *(name for name in (id, time, group) if name)]
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
            rows = _steps(table, channels, id, time, group)
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
    if need_label and found.labels is None and found.targets is None:
        name = source if isinstance(source, (str, Path)) else "data"
        raise DataError(f"{name}: no {'targets' if numeric else 'labels'}")
    return found


@dataclass(frozen=True)
class _Rows:
    """Sequences not labelled yet, and the rows of the table that each is made of."""

    sequences: Sequences
    order: NDArray[np.int64]
    counts: NDArray[np.int64]


def _texts(table: Table, text: str, group: str | None) -> _Rows:
    texts = table.text(text)
    for row, one in enumerate(texts):
        if not one.strip():
            raise table.fault(row, text, "empty text")
    groups = table.labels(group) if group else None
    locations = [table.location(row) for row in range(len(texts))]
    return _Rows(Sequences(texts, None, groups, locations), np.arange(len(texts)), np.ones(len(texts), dtype=np.int64))


def _recordings(table: Table, sound: str, reader: SoundReader, group: str | None) -> _Rows:
    frames, hashes = reader.read_column(table, sound)
    groups = table.labels(group) if group else None
    locations = [table.location(row) for row in range(len(frames))]
    sequences = Sequences(frames, None, groups, locations, hashes=hashes)
    return _Rows(sequences, np.arange(len(frames)), np.ones(len(frames), dtype=np.int64))


def _steps(table: Table, channels: Sequence[str], id: str | None, time: str | None, group: str | None) -> _Rows:
    values = table.numbers(channels)
    faults = {"missing value": np.isnan(values), "too large for float32": np.abs(values) > FLOAT32}
    for fault, wrong in faults.items():
        if wrong.any():
            row, place = divmod(int(wrong.argmax()), len(channels))
            raise table.fault(row, channels[place], f"{fault}, {int(wrong.sum())} in all")
    codes, names = table.codes(id) if id else (np.arange(len(table)), None)
    order = np.argsort(codes, kind="stable") if time is None else np.lexsort((table.timestamps(time), codes))
    counts = np.bincount(codes)
    ends = np.cumsum(counts)
    inputs = np.split(values[order].astype(np.float32), ends[:-1])
    first = np.unique(codes, return_index=True)[1]
    locations = [
        f"{table.name} {id} '{name}' ({table.line(row)})" if id else table.location(row)
        for name, row in zip(names or first, first, strict=True)
    ]
    rows = _Rows(Sequences(inputs, None, None, locations, None, names), order, counts)
    return replace(
        rows, sequences=replace(rows.sequences, groups=_constant(rows, table, group, "group") if group else None)
    )


def _constant(found: _Rows, table: Table, column: str, what: str) -> list[str]:
    """The one value of ``column`` in each sequence."""
    codes, names = table.codes(column, what)
    ordered = codes[found.order]
    starts = np.cumsum(found.counts) - found.counts
    firsts = ordered[starts]
    changed = np.flatnonzero(ordered != np.repeat(firsts, found.counts))
    if len(changed):
        at = int(changed[0])
        sequence = int(np.searchsorted(starts, at, side="right")) - 1
        change = f"'{names[ordered[at]]}', but '{names[firsts[sequence]]}' before in the same sequence"
        raise table.fault(int(found.order[at]), column, change)
    return [names[code] for code in firsts]


def _targets(found: _Rows, table: Table, column: str, every_step: bool) -> list[Targets]:
    """The number that ``column`` holds for each sequence ``[1]``, or with ``every_step`` for each step ``[T]``."""
    values = table.numbers([column])[:, 0]
    wrong = np.abs(values) > FLOAT32
    if wrong.any():
        raise table.fault(int(wrong.argmax()), column, "too large for float32")
    missing = np.isnan(values)
    if missing.all() if every_step else missing.any():
        raise table.fault(int(missing.argmax()), column, f"no target, {int(missing.sum())} in all")
    ordered = values[found.order]
    ends = np.cumsum(found.counts)
    if every_step:
        return np.split(ordered, ends[:-1])
    firsts = ordered[ends - found.counts]
    changed = np.flatnonzero(ordered != np.repeat(firsts, found.counts))
    if len(changed):
        at = int(changed[0])
        before = firsts[int(np.searchsorted(ends, at, side="right"))]
        change = f"{ordered[at]:g}, but {before:g} before in the same sequence; --every-step makes each row an example"
        raise table.fault(int(found.order[at]), column, change)
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
    """``X`` and ``y`` (or ``None``) when ``source`` holds sequences as they are; ``None`` when it is a table."""
    if isinstance(source, tuple) and len(source) == 2 and not isinstance(source[0], (str, Path)):
        return source
    if isinstance(source, np.ndarray):
        return (source, None) if source.ndim == 3 or source.ndim == 1 or not table else None
    if isinstance(source, list) and source:
        if all(isinstance(one, (str, np.ndarray)) for one in source):
            return source, None
        if not table and all(isinstance(one, (list, tuple)) for one in source):
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
    if all(isinstance(one, str) for one in inputs):
        for one, place in zip(inputs, locations, strict=True):
            if not one.strip():
                raise DataError(f"{place}: empty text")
        return Sequences([str(one) for one in inputs], labels, None, locations, targets)
    return Sequences(_checked(inputs, locations), labels, None, locations, targets)


def _as_labels(labels: Any, count: int) -> list[str]:
    values = (
        labels if isinstance(labels, np.ndarray) else np.asarray(labels) if hasattr(labels, "dtype") else list(labels)
    )
    if len(values) != count:
        raise DataError(f"data: {len(values)} labels for {count} sequences")
    try:
        cells = from_array(values, "y") if isinstance(values, np.ndarray) else from_values(values, "y")
        return to_strings(cells, "label").to_list()
    except CellError as bad:
        raise DataError(f"data item {bad.row + 1}: {bad.fault}") from None


def _as_targets(targets: Any, count: int) -> list[Targets]:
    try:
        values = np.asarray(targets, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("data: y is not an array of numbers") from None
    if values.shape != (count,):
        raise DataError(f"data: targets of shape {values.shape}, wanted ({count},), one for each sequence")
    wrong = ~(np.abs(values) <= FLOAT32)
    if wrong.any():
        raise DataError(f"data item {int(wrong.argmax()) + 1}: target {values[wrong][0]} is not finite")
    return list(values[:, None])


def _checked(inputs: Sequence[Any], locations: Sequence[str]) -> list[Steps]:
    """Finite float32 ``[T, C]``, of one C, of at least one step."""
    checked: list[Steps] = []
    for one, place in zip(inputs, locations, strict=True):
        try:
            values = np.asarray(one, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{place}: not an array of numbers") from None
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2:
            raise DataError(f"{place}: shape {values.shape}, wanted [T, C] or [T]")
        if not len(values) or not values.shape[1]:
            raise DataError(f"{place}: empty")
        if checked and values.shape[1] != checked[0].shape[1]:
            raise DataError(f"{place}: {values.shape[1]} channels, wanted {checked[0].shape[1]} as in the first")
        wrong = np.argwhere(~np.isfinite(values) | (np.abs(values) > FLOAT32))
        if len(wrong):
            step, channel = (int(index) for index in wrong[0])
            raise DataError(f"{place}: step {step + 1}, channel {channel + 1}: {values[step, channel]} is not finite")
        checked.append(values.astype(np.float32))
    return checked
