"""Reads the ``.ts`` files of the UEA & UCR archives of time-series classification (Bagnall 2018) and regression."""

from __future__ import annotations

from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.files import read_text
from seriatim.errors import DataError

Case = NDArray[np.float64]

TIMED: Final = "time stamps inside the cases are not supported, wanted @timeStamps false"
REFUSED: Final = {
    False: {"@timestamps": TIMED, "@targetlabel": "a numeric target is not a class, wanted @classLabel"},
    True: {"@timestamps": TIMED, "@classlabel": "a class is not a number, wanted @targetLabel"},
}
"""Tags that must not be true. The key says whether the reader expects numeric targets."""


def read_ts(path: str | Path, *, numeric: bool = False) -> tuple[list[Case], list[str]]:
    """Return the cases ``[T, C]`` and their labels; the labels are empty if the file says ``@classLabel false``.

    With ``numeric`` each label is a number, as text; the file must say ``@targetLabel true``.
    ``?`` and NaN are missing values and become NaN. Raises ``DataError`` with the line of an error.
    """
    reader = _Reader(str(path), numeric)
    for number, line in enumerate(read_text(path).split("\n"), 1):
        line = line.strip()
        if line and not line.startswith(("#", "%")):
            reader.read_line(line, number)
    return reader.finish()


@final
class _Reader:
    """State of the reader: the tags and cases read so far."""

    def __init__(self, name: str, numeric: bool) -> None:
        self.name = name
        self.numeric = numeric
        self.in_data = False
        self.has_labels = False
        self.classes = ""
        self.dimensions: int | None = None
        self.cases: list[Case] = []
        self.labels: list[str] = []

    def read_line(self, line: str, number: int) -> None:
        if self.in_data:
            self._read_case(line, number)
        elif line.startswith("@"):
            self._read_tag(line, number)
        else:
            raise self._fault(number, f"wanted a tag such as @data, got '{line[:40]}'")

    def finish(self) -> tuple[list[Case], list[str]]:
        if not self.in_data:
            raise DataError(f"{self.name}: no @data line")
        if not self.cases:
            raise DataError(f"{self.name}: no cases after @data")
        return self.cases, self.labels

    def _read_tag(self, line: str, number: int) -> None:
        tag, _, rest = line.partition(" ")
        tag, rest = tag.lower(), " ".join(rest.split())
        first, _, others = rest.partition(" ")
        if tag == "@data":
            self.in_data = True
        elif tag in REFUSED[self.numeric] and first.lower() == "true":
            raise self._fault(number, REFUSED[self.numeric][tag])
        elif tag in ("@classlabel", "@targetlabel"):
            self.has_labels |= first.lower() == "true"
            self.classes = self.classes or others
        elif tag in ("@dimensions", "@dimension"):
            if not first.isdigit() or int(first) == 0:
                raise self._fault(number, f"'{rest}' is not a number of dimensions")
            self.dimensions = int(first)
        elif tag == "@univariate" and first.lower() == "true":
            self.dimensions = 1

    def _read_case(self, line: str, number: int) -> None:
        parts = line.split(":")
        if self.has_labels:
            label = parts.pop().strip()
            if not label:
                raise self._fault(number, "no label")
            if self.numeric and not _is_finite(label):
                raise self._fault(number, f"target '{label}' is not a finite number")
            if self.classes and f" {label} " not in f" {self.classes} ":
                raise self._fault(number, f"label '{label}' is not among @classLabel {self.classes}")
            self.labels.append(label)
        self.dimensions = self.dimensions or len(parts)
        if len(parts) != self.dimensions:
            raise self._fault(number, f"{len(parts)} dimensions, wanted {self.dimensions}")
        channels = [self._read_channel(part, dimension, number) for dimension, part in enumerate(parts, 1)]
        lengths = [len(channel) for channel in channels]
        for dimension, length in enumerate(lengths, 1):
            if length != lengths[0]:
                raise self._fault(number, f"dimension {dimension} has {length} steps, dimension 1 has {lengths[0]}")
        self.cases.append(np.stack(channels, axis=1))

    def _read_channel(self, part: str, dimension: int, number: int) -> Case:
        cells = ["nan" if cell.strip() == "?" else cell for cell in part.split(",")]
        try:
            return np.array(cells, dtype=np.float64)
        except ValueError:
            wrong = next(cell.strip() for cell in cells if not _is_number(cell))
            fault = f"'{wrong}' is not a number" if wrong else "an empty value"
            raise self._fault(number, f"dimension {dimension}: {fault}") from None

    def _fault(self, number: int, fault: str) -> DataError:
        return DataError(f"{self.name}: line {number}: {fault}")


def _is_finite(cell: str) -> bool:
    return _is_number(cell) and abs(float(cell)) < float("inf")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
