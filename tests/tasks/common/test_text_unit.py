"""The unit of texts in runs with ``--unit auto``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import seriatim
from seriatim.tasks.common.text_unit import MAX_TEXTS, unit_notes, unit_of
from seriatim.tasks.options import ClassifyOptions

GOOD = ["재미있는 영화였어요", "정말 좋은 영화예요", "아주 재미있었어요"]
BAD = ["지루한 영화였어요", "정말 나쁜 영화예요", "아주 지루했어요"]
KOREAN = GOOD * 10 + BAD * 10
LABELS = ["good"] * 30 + ["bad"] * 30
SMALL: dict[str, Any] = {"epochs": 1, "hidden": 4, "baselines": "none", "quiet": True}


def test_classify_reads_korean_in_characters(tmp_path: Path) -> None:
    run = seriatim.train("classify", (KOREAN, LABELS), out=str(tmp_path / "run"), **SMALL)
    assert run.options.unit == "auto"
    assert "texts: read in characters, because this script joins words together; --unit sets another unit" in run.notes
    loaded = seriatim.load(run.path)
    assert len(list(loaded.predict(["새로운 영화"]))) == 1


def test_unit_is_chosen_for_each_side_of_a_translation(tmp_path: Path) -> None:
    english = [f"film number {number}" for number in range(60)]
    korean = [f"{text} {number}" for number, text in enumerate(KOREAN)]
    run = seriatim.train("translate", list(zip(english, korean, strict=True)), out=str(tmp_path / "run"), **SMALL)
    assert [note.partition(":")[0] for note in run.notes if "read in characters" in note] == ["targets"]


def test_explicit_unit_and_vectors_decide() -> None:
    assert unit_of(ClassifyOptions(unit="word"), KOREAN) == "word"
    assert unit_of(ClassifyOptions(vectors="cbow"), KOREAN) == "word"
    assert unit_of(ClassifyOptions(), KOREAN) == "char"
    assert unit_notes(ClassifyOptions(unit="char"), "char", KOREAN) == ()


def test_unit_of_an_earlier_training_has_no_reason_in_new_texts() -> None:
    assert unit_notes(ClassifyOptions(), "char", ["a film", "a film"]) == ()


def test_many_texts_are_sampled_evenly() -> None:
    texts = ["a film"] * MAX_TEXTS + ["재미있는 영화"] * 10 * MAX_TEXTS
    assert unit_of(ClassifyOptions(), texts) == "bpe"
