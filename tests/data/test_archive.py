"""Tests of the ``.ts`` reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seriatim.data.archive import read_ts
from seriatim.errors import DataError

HEAD = "# words\n@problemName x\n@TimeStamps false\n@classLabel true a b-c\n"


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "x.ts"
    file.write_text(text)
    return file


def test_channels_and_lengths_are_read(tmp_path: Path) -> None:
    cases, labels = read_ts(write(tmp_path, HEAD + "@dimensions 2\n@DATA\n1,2,3:4,?,6:a\n\n% more\n7:NaN:b-c\n"))
    assert [case.shape for case in cases] == [(3, 2), (1, 2)] and labels == ["a", "b-c"]
    np.testing.assert_array_equal(cases[0], [[1, 4], [2, np.nan], [3, 6]])


def test_one_channel_with_text_labels(tmp_path: Path) -> None:
    cases, labels = read_ts(write(tmp_path, "@univariate true\n@classLabel true up, up down\n@data\n1, 2e3:up, up\n"))
    assert cases[0].tolist() == [[1.0], [2000.0]] and labels == ["up, up"]


def test_file_without_labels(tmp_path: Path) -> None:
    cases, labels = read_ts(write(tmp_path, "@classLabel false\n@data\n1,2:3,4\n"))
    assert cases[0].tolist() == [[1, 3], [2, 4]] and labels == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD, "no @data line"),
        (HEAD + "@data\n", "no cases after @data"),
        (HEAD + "1,2:a\n", "line 5: wanted a tag"),
        ("@timestamps TRUE\n@data\n", "line 1: time stamps"),
        ("@targetLabel true\n@data\n", "line 1: a numeric target"),
        (HEAD + "@data\n1,2:3:a\n", "line 6: dimension 2 has 1 steps, dimension 1 has 2"),
        (HEAD + "@data\n1:2:a\n1:a\n", "line 7: 1 dimensions, wanted 2"),
        (HEAD + "@dimensions 3\n@data\n1:2:a\n", "line 7: 2 dimensions, wanted 3"),
        (HEAD + "@dimensions x\n@data\n1:2:a\n", "line 5: 'x' is not a number of dimensions"),
        (HEAD + "@data\n1:1,x:a\n", "line 6: dimension 2: 'x' is not a number"),
        (HEAD + "@data\n1:1,:a\n", "line 6: dimension 2: an empty value"),
        (HEAD + "@data\n1,2:b\n", "line 6: label 'b' is not among @classLabel a b-c"),
        (HEAD + "@data\n1,2:\n", "line 6: no label"),
    ],
)
def test_faults(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"x.ts: {message}"):
        read_ts(write(tmp_path, text))
