"""Tests of files of predictions: the extension decides the format."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import polars
import pytest

from seriatim.data.predictions import Row, check_output, write_rows
from seriatim.errors import DataError, UsageError

ROWS: list[Row] = [{"row": 1, "words": ["a", "é"], "tags": ["X", "Y"]}, {"row": 2, "words": ["b"], "tags": ["X"]}]
FLAT = [{"row": 1, "word": "a"}, {"row": 1, "word": "é"}, {"row": 2, "word": "b"}]


def flatten(row: Row) -> Iterator[Row]:
    return ({"row": row["row"], "word": word} for word in row["words"])


def test_formats(tmp_path: Path) -> None:
    def write(name: str) -> Path:
        write_rows(iter(ROWS), flatten, tmp_path / name)
        return tmp_path / name

    texts = [{name: str(value) for name, value in row.items()} for row in FLAT]
    assert list(csv.DictReader(write("a.csv").read_text().splitlines())) == texts
    assert write("a.tsv").read_text() == "row\tword\n1\ta\n1\té\n2\tb\n"
    assert polars.read_parquet(write("a.parquet")).to_dicts() == FLAT
    for name in ("a.jsonl", "a.ndjson", "a"):
        assert [json.loads(line) for line in write(name).read_text().splitlines()] == ROWS
    assert gzip.decompress(write("b.csv.gz").read_bytes()) == (tmp_path / "a.csv").read_bytes()


def test_bad_outputs_are_refused(tmp_path: Path) -> None:
    for name in ("a.xlsx", "a.json", "a.csv.zst", "a.txt"):
        with pytest.raises(
            UsageError, match=f"{name}: cannot write this format, wanted one of .csv, .tsv, .parquet, .jsonl"
        ):
            write_rows(iter(ROWS), flatten, tmp_path / name)
        assert not (tmp_path / name).exists()
    (tmp_path / "in.csv").write_text("a\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "in.csv")
    for name in ("in.csv", "link.csv"):
        with pytest.raises(UsageError, match="is the input file"):
            check_output(tmp_path / name, str(tmp_path / "in.csv"))
    with pytest.raises(DataError, match=r"'a\\tb' has a tab or a line end, which TSV cannot hold"):
        write_rows([{"row": 1, "words": ["a\tb"]}], flatten, tmp_path / "a.tsv")
    assert not (tmp_path / "a.tsv").exists()
