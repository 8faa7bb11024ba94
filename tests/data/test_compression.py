"""Tests of compressed files: every reader unpacks them."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pyarrow
import pytest

from seriatim.data.compression import format_suffix, unpack
from seriatim.data.files import InputStream, read_text
from seriatim.data.pairs import read_sources
from seriatim.data.sequences import read_sequences
from seriatim.data.tables import open_table
from seriatim.data.tagged import read_tagged
from seriatim.errors import DataError

TS = "@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n1,2:a\n3,4:b\n"


def pack(text: str, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(text.encode())
    packed: bytes = pyarrow.Codec("zstd").compress(text.encode(), asbytes=True)
    return packed


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_all_readers(tmp_path: Path, suffix: str) -> None:
    def put(name: str, text: str) -> Path:
        (tmp_path / f"{name}{suffix}").write_bytes(pack(text, suffix))
        return tmp_path / f"{name}{suffix}"

    for name, text in (("a.csv", "a,b\n1,x\n"), ("a.tsv", "a\tb\n1\tx\n"), ("a.jsonl", '{"a": 1, "b": "x"}\n')):
        result = open_table(put(name, text), columns=["a", "b"])
        assert result.numbers(["a"]).tolist() == [[1]] and result.text("b") == ["x"]
        stream = InputStream(io.BytesIO(pack(text, suffix)), name.partition(".")[2])
        assert open_table(stream, columns=["b"]).text("b") == ["x"]
    assert read_text(put("a.txt", "word\n")) == "word\n"
    assert InputStream(io.BytesIO(pack("word\n", suffix)), "txt").text() == "word\n"
    assert read_sources(put("a.de", "ein\nzwei\n")).sources == ["ein", "zwei"]
    assert read_sequences(put("a.ts", TS)).labels == ["a", "b"]
    assert read_tagged(put("b.tsv", "dog\tN\n")).words == [["dog"]]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str) -> None:
    kind = "gzip" if suffix == ".gz" else "Zstandard"
    for raw in (b"a,b\n1,2\n", pack("a,b\n1,2\n" * 99, suffix)[:-9]):
        (tmp_path / f"a.csv{suffix}").write_bytes(raw)
        with pytest.raises(DataError, match=f"a.csv{suffix}: not a {kind} file that can be read"):
            open_table(tmp_path / f"a.csv{suffix}", columns=["a"])
    assert unpack(b"plain", "x") == b"plain"


def test_format_suffix() -> None:
    assert [format_suffix(name) for name in ("a.CSV", "a.csv.gz", "a.zst", "a")] == [".csv", ".csv", "", ""]
