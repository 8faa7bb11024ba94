"""``seriatim evaluate``."""

from __future__ import annotations

import json
from pathlib import Path


def test_other_data_get_a_verdict_of_their_own(seriatim, runs):
    said = seriatim("evaluate", "runs/x", "new.tsv")
    assert said.code == 0 and "> lstm" in said.out
    assert "\nlstm LOSES by perplexity, False\n" in said.out and "note:" not in said.out
    assert runs.calls == [("load", Path("runs/x")), ("evaluate", Path("new.tsv"))]


def test_notes_are_about_the_run_s_own_data(seriatim, runs):
    assert "note: 2 texts stand on both sides of the cut\n" in seriatim("evaluate", "runs/x").out


def test_json(seriatim, runs):
    assert json.loads(seriatim("evaluate", "runs/x", "--json").out)["model"] == "lstm"
    assert runs.calls[1] == ("evaluate", None)
