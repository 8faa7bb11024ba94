"""Scores of texts."""

from __future__ import annotations

import pytest

from seriatim.tasks.common.text_scores import signatures, text_scores


def test_equal_texts_have_perfect_scores() -> None:
    texts = ["the cat sees the sun .", "a dog likes the sea ."]
    scores = text_scores(texts, [[text] for text in texts])
    assert scores == {"bleu": pytest.approx(100.0), "chrf": pytest.approx(100.0), "exact_match": 1.0}


def test_exact_match_is_a_share_and_chrf_is_graded() -> None:
    scores = text_scores(["189", "733"], [["189"], ["738"]])
    assert scores["exact_match"] == 0.5
    assert 50.0 < scores["chrf"] < 100.0
    assert scores["bleu"] == 0.0, "no text has four words"


def test_each_text_may_have_several_references() -> None:
    texts = ["a small red circle", "two blue squares"]
    references = [["one red circle", "a small red circle", "a circle"], ["two blue squares"]]
    assert text_scores(texts, references)["exact_match"] == 1.0
    assert text_scores(texts, [texts[:1] for texts in references])["exact_match"] == 0.5


def test_signatures_describe_the_scores() -> None:
    bleu, chrf = signatures([["a b"], ["c"]])
    assert bleu.startswith("bleu: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert chrf.startswith("chrf: nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
