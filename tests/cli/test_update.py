"""``seriatim update``."""

from __future__ import annotations

import json
from pathlib import Path


def test_scores_on_old_and_new_data_are_shown(seriatim, runs):
    result = seriatim("update", "runs/x", "new.txt", "--replay", "0.5", "--epochs", "2")
    assert result.code == 0
    assert runs.calls == [("load", Path("runs/x")), ("update", Path("new.txt"), {"replay": 0.5, "epochs": 2})]
    lines = [line.split() for line in result.out.splitlines()]
    assert [">", "lstm", "after", "6.0000", "5.5000"] in lines and ["lstm", "before", "9.0000", "5.0000"] in lines
    assert ["markov", "7.0000", "-"] in lines


def test_json(seriatim, runs):
    assert json.loads(seriatim("update", "runs/x", "a.txt", "b.txt", "--json").out)["after"]["old"]["perplexity"] == 5.5
    assert runs.calls[1][1] == [Path("a.txt"), Path("b.txt")]


def test_error_names_the_option(seriatim):
    result = seriatim("update", "runs/x", "new.txt", "--replay", "much")
    assert result.code == 2 and "--replay" in result.err
