"""Reading and splitting of the data of all tasks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seriatim.data.pairs import Pairs, read_pairs
from seriatim.data.splits import Indices
from seriatim.errors import DataError
from seriatim.tasks.common.parts import read_parts, unknown_notes


def options(**arguments: Any) -> Any:
    return SimpleNamespace(**({"valid": None, "test": None, "drop_duplicates": False, "seed": 0} | arguments))


def pairs(count: int = 100) -> list[tuple[str, str]]:
    return [(f"source {number}", f"target {number}") for number in range(count)]


def test_split_contains_each_item_once() -> None:
    parts = read_parts(options(), pairs(), read_pairs)
    assert parts.sizes == {"train": 80, "valid": 10, "test": 10} and parts.notes == ()
    sources = parts.train.sources + parts.valid.sources + parts.test.sources
    assert sorted(sources) == sorted(source for source, _ in pairs())
    loaded, other = (read_parts(options(seed=seed), pairs(), read_pairs) for seed in (0, 1))
    assert loaded == parts and other.train != parts.train and other.hash == parts.hash


@pytest.mark.parametrize("arguments", [("valid",), ("test",), ("valid", "test")])
def test_valid_and_test_files_are_used_whole(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    for name in arguments:
        rows = "".join(f"{name} {number}\tx\n" for number in range(3))
        (tmp_path / f"{name}.tsv").write_text("source\ttarget\n" + rows, encoding="utf-8")
    parts = read_parts(options(**{name: str(tmp_path / f"{name}.tsv") for name in arguments}), pairs(), read_pairs)
    for name in arguments:
        assert getattr(parts, name).sources == [f"{name} {number}" for number in range(3)]
    fixed = 0 if len(arguments) == 2 else 10
    assert len(parts.train) == 100 - fixed and parts.sizes["valid" if "test" in arguments else "test"] == (fixed or 3)
    assert parts.train.sources == sorted(parts.train.sources, key=lambda source: int(source.split()[1]))


def test_duplicates_are_noted_or_dropped() -> None:
    twice = pairs() + pairs()
    parts = read_parts(options(), twice, read_pairs)
    assert [note.split(":")[0] for note in parts.notes] == ["valid", "test"]
    assert parts.notes[0].endswith("of 20 sources are also in the training part (--drop-duplicates)")
    fewer = read_parts(options(drop_duplicates=True), twice, read_pairs)
    assert fewer.notes == ("100 duplicates dropped before splitting",) and sum(fewer.sizes.values()) == 100


def test_adjust_moves_items_between_parts() -> None:
    def first_trains(whole: Pairs, cut: dict[str, Indices]) -> dict[str, Indices]:
        return {name: indices[indices != 0] for name, indices in cut.items()} | {"train": np.union1d(cut["train"], [0])}

    for seed in range(8):
        assert read_parts(options(seed=seed), pairs(20), read_pairs, adjust=first_trains).train.sources[0] == "source 0"


def test_labels_are_stratified() -> None:
    parts = read_parts(options(), pairs(), read_pairs, labels=lambda whole: ["rare"] * 3 + ["common"] * 97)
    rare = {"source 0", "source 1", "source 2"}
    assert all(rare & set(part.sources) for part in (parts.train, parts.valid, parts.test))


def test_empty_part_is_refused() -> None:
    with pytest.raises(DataError, match=r"^valid part: no pairs; too little data$"):
        read_parts(options(), pairs(2), read_pairs)


def test_unknown_words_give_a_note() -> None:
    known, unknown = np.array([1, 2, 3]), np.array([0, 0, 3])
    assert list(unknown_notes("the words", "word", [known, known])) == []
    (note,) = unknown_notes("the words", "word", [known, unknown])
    assert note == "valid: 33 % of the words are unknown; --unit bpe or --unit char reads words in pieces"
    assert list(unknown_notes("the words", "bpe", [unknown])) == []
