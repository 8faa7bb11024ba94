"""The score table: order, columns and highlighted row."""

from __future__ import annotations

from seriatim.cli.scores import score_table


def test_best_model_comes_first_and_missing_scores_last():
    rows = {"a": {"f1": 0.5, "accuracy": 0.9}, "b": {"f1": 0.75}, "c": {"f1": None}, "d": {"f1": float("nan")}}
    up = score_table(rows, "f1", True, marked="a")
    assert [row[0] for row in up.rows] == ["b", "a", "c", "d"] and up.marked == 1
    assert up.columns == ("model", "f1", "accuracy")
    assert up.rows[0] == ("b", "0.7500", "-")
    down = score_table(rows, "f1", False)
    assert [row[0] for row in down.rows] == ["a", "b", "c", "d"] and down.marked is None


def test_main_score_is_first_column():
    assert score_table({"a": {"nll": 1.0, "perplexity": 2.7}}, "perplexity", False).columns == (
        "model",
        "perplexity",
        "nll",
    )
