"""Reads sequences of text, sound or numbers, each with a label, a target number, or a target for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from seriatim.data.archive import read_ts
from seriatim.data.arrays import to_float64
from seriatim.data.cell_values import CellError, to_names
from seriatim.data.compression import format_suffix
from seriatim.data.files import check_unicode
from seriatim.data.frames import from_array, from_values
from seriatim.data.sequence_collection import FLOAT32, Sequences, Steps, Targets
from seriatim.data.sound import SUFFIXES, SoundReader
from seriatim.data.table_sequences import constant_values, read_recordings, read_steps, read_targets, read_texts
from seriatim.data.tables import open_table
from seriatim.errors import DataError, UsageError


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
            rows = read_texts(table, text, group)
        elif sound:
            rows = read_recordings(table, sound, reader or SoundReader(), group)
        else:
            rows = read_steps(table, channels, id, time, group, date_format)
        if not answer or not table.has(answer):
            return rows.sequences
        try:
            if numeric:
                return replace(rows.sequences, targets=read_targets(rows, table, answer, every_step))
            return replace(rows.sequences, labels=constant_values(rows, table, answer, "label"))
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


def are_numbers(source: object, *, text: object = None, sound: object = None, channels: object = None) -> bool:
    """Return whether ``read_sequences`` would read numeric sequences, by the options and the form of ``source``."""
    if text or sound:
        return False
    if isinstance(source, (str, Path)) and format_suffix(source) == ".ts":
        return True
    memory = _in_memory(source, bool(channels))
    if memory is None:
        return bool(channels)
    inputs = memory[0]
    is_column = hasattr(inputs, "to_list")  # a series of texts
    return not is_column and hasattr(inputs, "__len__") and len(inputs) > 0 and not isinstance(inputs[0], str)


def are_texts(source: object, *, text: object = None) -> bool:
    """Return whether ``read_sequences`` would read texts, by the option ``text`` and the form of ``source``."""
    memory = _in_memory(source, False)
    if text or memory is None:
        return bool(text)
    inputs = memory[0]
    is_column = hasattr(inputs, "to_list")
    return is_column or (hasattr(inputs, "__len__") and len(inputs) > 0 and isinstance(inputs[0], str))


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
