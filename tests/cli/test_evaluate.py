"""``seriatim evaluate``."""

from __future__ import annotations

import json
from pathlib import Path


def test_new_data_get_their_own_verdict(seriatim, runs):
    result = seriatim("evaluate", "runs/x", "new.tsv")
    assert result.code == 0 and "> lstm" in result.out
    assert "\nlstm LOSES by perplexity, False\n" in result.out and "note:" not in result.out
    assert runs.calls == [("load", Path("runs/x")), ("evaluate", Path("new.tsv"))]


def test_notes_describe_training_data(seriatim, runs):
    assert "note: 2 texts are in both parts\n" in seriatim("evaluate", "runs/x").out


def test_json(seriatim, runs):
    assert json.loads(seriatim("evaluate", "runs/x", "--json").out)["model"] == "lstm"
    assert runs.calls[1] == ("evaluate", None)
