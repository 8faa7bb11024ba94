"""Tests of pairs from tables, parallel files and memory, and of the errors for bad data."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from seriatim.data.pairs import Pairs, read_pairs, read_sources
from seriatim.errors import DataError, UsageError

SOURCES, TARGETS = ["ein Hund", "zwei Hunde ", 'er sagt "ja"'], ["a dog", " two dogs", "he says yes"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.de").write_text("\n".join(SOURCES) + "\n")
    (tmp_path / "a.en").write_text("\ufeff" + "\r\n".join(TARGETS))
    with gzip.open(tmp_path / "a.en.gz", "wt") as file:
        file.write("\n".join(TARGETS) + "\n")
    rows = list(zip(SOURCES, TARGETS, ("x", "y", "y"), strict=True))
    (tmp_path / "a.tsv").write_text("source\ttarget\twho\n" + "".join("\t".join(row) + "\n" for row in rows))
    (tmp_path / "plain.tsv").write_text("".join("\t".join(row[::-1]) + "\n" for row in rows))
    frame = polars.DataFrame(rows, schema=["source", "target", "who"], orient="row")
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_ndjson(tmp_path / "a.jsonl")
    return tmp_path


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.parquet", "a.jsonl"])
def test_table(folder: Path, name: str) -> None:
    pairs = read_pairs(folder / name, group="who")
    assert (pairs.sources, pairs.targets, pairs.groups) == (SOURCES, TARGETS, ["x", "y", "y"])
    assert pairs.locations[1].startswith(str(folder / name))


def test_columns_by_name_and_by_number(folder: Path) -> None:
    assert read_pairs(folder / "a.csv", source="target", target="source").sources == TARGETS
    turned = read_pairs(folder / "plain.tsv", source="3", target="2", header=False)
    assert (turned.sources, turned.targets) == (SOURCES, TARGETS)
    assert read_pairs(folder / "plain.tsv", header=False).sources == ["x", "y", "y"]


@pytest.mark.parametrize("target", ["a.en", "a.en.gz"])
@pytest.mark.parametrize("form", [list, ",".join, lambda files: Path(",".join(files))])
def test_parallel_files(folder: Path, target: str, form: Any) -> None:
    pairs = read_pairs(form([str(folder / "a.de"), str(folder / target)]))
    assert (pairs.sources, pairs.targets) == (SOURCES, TARGETS)
    assert pairs.locations[2] == f"{folder / 'a.de'} line 3"


@pytest.mark.parametrize("form", [list, lambda rows: [list(row) for row in rows], lambda rows: np.array(list(rows))])
def test_memory(form: Any) -> None:
    pairs = read_pairs(form(zip(SOURCES, TARGETS, strict=True)))
    assert (pairs.sources, pairs.targets) == (SOURCES, TARGETS)
    assert read_pairs([{"source": "a", "target": "b"}]).targets == ["b"]


def test_sources_without_targets(folder: Path) -> None:
    for source in (folder / "a.tsv", folder / "a.de", str(folder / "a.de"), SOURCES):
        assert read_sources(source).sources == SOURCES
    assert read_sources(folder / "a.tsv", source="who").sources == ["x", "y", "y"]


def test_first_duplicate_source_is_kept() -> None:
    pairs = Pairs(["a", "b", "a"], ["1", "2", "3"], None, ["x", "y", "z"])
    unique, dropped = pairs.without_duplicates()
    assert (unique.sources, unique.targets, unique.locations, dropped) == (["a", "b"], ["1", "2"], ["x", "y"], 1)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x": "a\nb\n", "y": "c\n"}, "y: 1 lines, wanted 2 as in x: line N of one belongs to line N of the other"),
        ({"x": "a\nb\n", "y": "c\n \n"}, "y: line 2 is empty"),
        ({"x": "a\n\nb\n", "y": "c\nd\ne\n"}, "x: line 2 is empty"),
        ({"x": "a\n"}, "y: no such file"),
        ({"x": "", "y": "a\n"}, "x: is empty"),
        ({"x.gz": "a\n", "y": "a\n"}, "x.gz: not a gzip file that can be read: Not a gzipped file (b'a\\n')"),
    ],
)
def test_bad_parallel_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        Path(name).write_text(text)
    with pytest.raises(DataError) as refused:
        read_pairs([next(iter(files)), "y"])
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("source\ttarget\na\t\n", {}, "t.tsv: line 2, column 'target': no text"),
        ("source\ttarget\na\t \n", {}, "t.tsv: line 2, column 'target': empty text"),
        ("source\tanswer\na\tb\n", {}, "t.tsv: no column 'target'"),
        ("source\ttarget\na\tb\n", {"source": "sauce"}, "t.tsv: no column 'sauce'"),
        ("source\ttarget\na\n", {}, "t.tsv: line 2"),
    ],
)
def test_bad_tables_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.tsv").write_text(text)
    with pytest.raises((DataError, UsageError)) as refused:
        read_pairs("t.tsv", **options)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["a", "b", "c"], "data: 3 files, wanted a table or two files, the source's and the target's"),
        ([("a", "b"), ("c",)], "list of rows: row 2"),
        ([("a", " ")], "list of rows: row 1, column '2': empty text"),
        ([], "data: an empty list"),
        (7, "data: got int"),
    ],
)
def test_bad_lists_are_refused(source: object, message: str) -> None:
    with pytest.raises((DataError, UsageError)) as refused:
        read_pairs(source)
    assert str(refused.value).startswith(message)


def test_half_of_a_character_is_refused() -> None:
    message = r"\\ud83d is half of a character \(a lone surrogate\)"
    with pytest.raises(DataError, match=f"list of rows: row 2, column '2': {message}"):
        read_pairs([("a", "b"), ("c", "d \ud83d")])
    with pytest.raises(DataError, match=f"data item 2: {message}"):
        read_sources(["a", "\ud83d"])
