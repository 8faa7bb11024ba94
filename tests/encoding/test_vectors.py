"""Tests of word vectors as text: both formats, gzip, and the line in error messages."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from seriatim.encoding.vectors import format_vectors, read_vectors, vectors_width
from seriatim.errors import DataError

GLOVE = "the 0.5 -1 2e-3\nà 1 2 3\nthe 9 9 9\n. . 4 5 6\n"
WORD2VEC = "4 3 \n" + "".join(f"{line} \n" for line in GLOVE.splitlines())
WORDS = {"the", "à", ". .", "absent"}


def put(folder: Path, content: str | bytes) -> Path:
    file = folder / "vectors.txt"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("content", [GLOVE, WORD2VEC, "\ufeff" + GLOVE, GLOVE.replace("\n", "\r\n"), GLOVE + "\n"])
def test_both_formats_are_read(tmp_path: Path, content: str, packed: bool) -> None:
    raw = content.encode()
    file = put(tmp_path, gzip.compress(raw) if packed else raw)
    assert vectors_width(file) == 3
    result = read_vectors(file, WORDS)
    assert {word: vector.tolist() for word, vector in result.items()} == {
        "the": pytest.approx([0.5, -1.0, 2e-3]),  # the first of two lines
        "à": [1.0, 2.0, 3.0],
        ". .": [4.0, 5.0, 6.0],  # a word with a space, as GloVe has some
    }
    assert all(vector.dtype == np.float32 for vector in result.values())


def test_only_requested_words_are_read(tmp_path: Path) -> None:
    assert read_vectors(put(tmp_path, GLOVE), {"à"}).keys() == {"à"}
    assert read_vectors(put(tmp_path, GLOVE), ()) == {}


def test_vectors_text_round_trip_is_exact(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    vectors = {f"w{index}": draw.normal(size=7).astype(np.float32) * 10.0 ** (index - 9) for index in range(20)}
    file = put(tmp_path, format_vectors(vectors))
    assert file.read_text().startswith("20 7\n")
    result = read_vectors(file, vectors.keys())
    assert all(np.array_equal(result[word], vector) for word, vector in vectors.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n", r"line 1: got '', wanted a word and its numbers"),
        ("hello world you\n", r"line 1: got 'hello world you', wanted a word and its numbers"),
        ("hello\n", "line 1: got 'hello', wanted a word"),
        ("3 0\nthe\n", "line 1: vectors of 0 numbers"),
        (GLOVE + "cat 1 2\n", "line 5: 2 numbers, wanted 3"),
        (GLOVE + "cat 1 2 3 4\n", "line 5: 4 numbers, wanted 3"),
        ("2 3\nthe 1 2 3\ncat 1 2 3 4\n", "line 3: 4 numbers, wanted 3"),
        ("cat 1 2 3\nthe 1 x 3\n", "line 2: 'x' is not a finite number"),
        ("cat 1 2 3\nthe 1 nan 3\n", "line 2: 'nan' is not a finite number"),
        ("cat 1 2 3\nthe 1 1e39 3\n", "line 2: '1e39' is not a finite number"),
        ("3 3\nthe 1 2 3\ncat 1 2 3\n", "2 vectors, but its first line says 3: cut short"),
        (b"2 3\nthe \x00\x01\xff\x00\n", "line 2: holds binary data, wanted vectors as text"),
        (gzip.compress(GLOVE.encode(), mtime=0)[:-12], "not a gzip file that can be read"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = put(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        vectors_width(file)
        read_vectors(file, WORDS)
    assert str(caught.value).startswith(str(file))


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt: No such file"):
        vectors_width(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match="Is a directory"):
        read_vectors(tmp_path, WORDS)


def test_bad_vectors_are_not_formatted() -> None:
    zeros = np.zeros(2, np.float32)
    for vectors, message in (
        ({}, "wanted one"),
        ({"a": zeros, "b": np.zeros(3, np.float32)}, r"widths \[2, 3\]"),
        ({"a b": zeros}, "'a b' is not a word"),
        ({"": zeros}, "'' is not a word"),
    ):
        with pytest.raises(ValueError, match=message):
            format_vectors(vectors)
