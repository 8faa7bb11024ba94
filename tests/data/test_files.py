"""Text files and hashes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest

from seriatim.data.files import InputStream, content_hash, read_text, split_lines
from seriatim.errors import DataError


def test_byte_order_mark_and_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "corpus.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\n\r")
    assert read_text(file) == "one\ntwo\n\r"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "holds nothing but white space"),
        (b"one\ntwo \xff three", r"not UTF-8: byte 0xff at offset 8 \(line 2\)"),
        (b"\xef\xbb\xbfone\ntwo \xff three", r"not UTF-8: byte 0xff at offset 11 \(line 2\)"),
        (b"cut \xe2\x82", r"not UTF-8: byte 0xe2 at offset 4 \(line 1\)"),
    ],
)
def test_bad_contents(tmp_path: Path, raw: bytes, message: str) -> None:
    file = tmp_path / "corpus.txt"
    file.write_bytes(raw)
    with pytest.raises(DataError, match=f"corpus.txt: {message}"):
        read_text(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.txt: no such file"):
        read_text(tmp_path / "gone.txt")
    with pytest.raises(DataError, match="is a directory"):
        read_text(tmp_path)
    with pytest.raises(DataError):
        read_text("x" * 10_000)
    with pytest.raises(DataError):
        read_text("a\0b")


DIFFERENT = [
    "ab", b"ab", ["a", "b"], ["ab"], ["", "ab"], None, 1, 1.0, True, [1, 2], [[1], 2],
    np.array([1, 2]), np.array([[1, 2]]), np.array([1.0, 2.0]), np.array(["a", "b"], dtype=object), np.array([1, None]),
    {"a": 1}, {"a": [1, 2]}, polars.DataFrame({"a": [1, 2]}), polars.DataFrame({"b": [1, 2]}),
    np.array(["2020-01-01"], dtype="datetime64[us]"),
]  # fmt: skip


def test_different_contents_have_different_hashes() -> None:
    hashes = [content_hash(content) for content in DIFFERENT]
    twins = {content_hash(["a", "b"]), content_hash(np.array(["a", "b"], dtype=object))}
    assert len(twins) == 1  # an array of objects equals the list of its items
    assert len(set(hashes)) == len(hashes) - 1
    assert all(len(digest) == len("sha256:") + 64 for digest in hashes)


def test_equal_contents_have_equal_hashes() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert content_hash(array) == content_hash(np.asfortranarray(array)) != content_hash(array.T)
    assert content_hash(np.float64(1.5)) == content_hash(1.5)
    data = {"a": [1, 2], "b": [0.5, 1.5]}
    assert content_hash(polars.DataFrame(data)) == content_hash(pandas.DataFrame(data))
    assert content_hash("a", "bc") != content_hash("ab", "c")


def test_unhashable_object_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        content_hash(object())


ODD = "red rose\u2028fire sun\nsea sky\x85ice snow\nred\x0bfire\nsea\x0csnow\nred\x1csun\nsea\rice\n"


def test_only_line_ends_split_lines(tmp_path: Path) -> None:
    assert len(split_lines(ODD)) == 6 and split_lines(ODD)[0] == "red rose\u2028fire sun"
    for end in ("\n", "\r\n", "\r"):
        assert split_lines(f"a b{end}{end}c{end}") == ["a b", "", "c"]
        (tmp_path / "a.txt").write_bytes(f"a b{end}{end}c{end}".encode())
        assert read_text(tmp_path / "a.txt") == "a b\n\nc\n"
        assert InputStream(io.BytesIO(f"a{end}b".encode()), "txt").text() == "a\nb"
