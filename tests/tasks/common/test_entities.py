"""Entities and their F1, computed by hand and by nervaluate."""

from __future__ import annotations

import random

import pytest

from seriatim.tasks.common.entities import are_entities, entities, entity_f1


def tags(seed: int, prefixes: str) -> tuple[list[list[str]], list[list[str]]]:
    """Random tags, and the same tags with four in ten replaced."""
    draw = random.Random(seed)
    names = ["O", "O", "O", *(f"{prefix}-{task}" for prefix in prefixes for task in ("PER", "LOC"))]
    truth = [draw.choices(names, k=9) for _ in range(20)]
    return truth, [[tag if draw.random() < 0.6 else draw.choice(names) for tag in tags] for tags in truth]


@pytest.mark.parametrize("seed", range(5))
def test_entity_f1_agrees_with_nervaluate(seed: int) -> None:
    nervaluate = pytest.importorskip("nervaluate")  # from 1.0 on, which wants Python 3.11
    truth, result = tags(seed, "BI")
    theirs = nervaluate.Evaluator(truth, result, tags=["PER", "LOC"], loader="list").evaluate()["overall"]["strict"]
    assert theirs.correct > 5
    assert entity_f1(truth, result) == pytest.approx(theirs.f1)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-X I-X O B-X", [(0, 1, "X"), (3, 3, "X")]),
        ("I-X I-X I-Y", [(0, 1, "X"), (2, 2, "Y")]),
        ("B-X B-X I-Y I-Y", [(0, 0, "X"), (1, 1, "X"), (2, 3, "Y")]),
        ("B-X I-X E-X S-X E-X", [(0, 2, "X"), (3, 3, "X"), (4, 4, "X")]),
        ("U-X B-Y L-Y I-Y", [(0, 0, "X"), (1, 2, "Y"), (3, 3, "Y")]),
        ("S-X I-X I-X", [(0, 0, "X"), (1, 2, "X")]),
        ("O O", []),
    ],
)
def test_first_and_last_words_of_entities(tags: str, spans: list[tuple[int, int, str]]) -> None:
    assert list(entities([[], tags.split()])) == [(1, *span) for span in spans]


@pytest.mark.parametrize("prefixes", ["BI", "BIES", "BILU"])
def test_perfect_prediction_scores_one(prefixes: str) -> None:
    truth, result = tags(0, prefixes)
    assert entity_f1(truth, truth) == 1.0
    assert 0.2 < entity_f1(truth, result) < 0.9


def test_entity_f1_by_hand() -> None:
    truth = [["B-PER", "I-PER", "O", "B-LOC"]]
    assert entity_f1(truth, [["B-PER", "I-PER", "O", "B-PER"]]) == 0.5
    assert entity_f1(truth, [["B-PER", "O", "O", "O"]]) == 0.0
    assert entity_f1(truth, [["O", "O", "O", "B-LOC"]]) == pytest.approx(2 / 3)
    assert entity_f1([["O"]], [["O"]]) == 1.0


@pytest.mark.parametrize(
    ("tags", "answer"),
    [
        (["O", "B-PER", "I-PER"], True),
        (["O", "S-PER", "B-PER", "E-PER"], True),
        (["I-PER", "O"], True),
        (["O"], False),
        (["NOUN", "O"], False),
        (["B-PER", "NOUN"], False),
        ([], False),
    ],
)
def test_are_entities(tags: list[str], answer: bool) -> None:
    assert are_entities(tags) is answer
