"""Texts for a language model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import polars
import pytest

from seriatim.data.documents import read_documents
from seriatim.errors import DataError, SeriatimError, UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "a.txt"
    file.write_text("one\n")
    return file


def test_files(file: Path) -> None:
    assert read_documents(file) == read_documents(str(file)) == ["one\n"]
    assert read_documents([file, str(file)]) == read_documents((str(file), str(file))) == ["one\n", "one\n"]


def test_texts() -> None:
    texts = ["one\r\n", "two 둘"]
    expected = ["one\n", "two 둘"]
    assert read_documents(texts) == read_documents(tuple(texts)) == read_documents(np.array(texts)) == expected
    assert read_documents(polars.Series(texts)) == read_documents(pandas.Series(texts)) == expected
    assert read_documents(polars.DataFrame({"t": texts})) == read_documents(pandas.DataFrame({"t": texts})) == expected


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (5, UsageError, "got int, wanted"),
        ([], DataError, "no texts"),
        (["a", 5], UsageError, "item 2 is int"),
        (["a", " "], DataError, "text 2 is empty"),
        ("To be, or not to be\nthat is the question", UsageError, "put a text in a list"),
        (polars.DataFrame({"a": ["x"], "b": ["y"]}), UsageError, "2 columns"),
        (["gone.txt", "lost.txt"], DataError, "gone.txt: no such file"),
        ([Path("gone.dat")], DataError, "gone.dat: no such file"),
        (polars.Series([None, "a"]), UsageError, "item 1 is NoneType"),
    ],
)
def test_bad_input_is_refused(source: object, error: type[SeriatimError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_documents(source)


def test_missing_file_among_existing_files_is_refused(file: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_documents([str(file), "gone"])
