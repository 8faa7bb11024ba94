"""``seriatim compare``."""

from __future__ import annotations

import json


def test_table_is_sorted_and_has_notes(seriatim, runs):
    lines = seriatim("compare", "runs/a", "runs/b").out.splitlines()
    assert lines[1].split() == ["runs/b", "(lstm)", "8.0000"] and lines[2].split()[0] == "runs/a"
    assert lines[-1] == "note: other test data"


def test_json(seriatim, runs):
    out = json.loads(seriatim("compare", "runs/a", "runs/b", "--json").out)
    assert [result["run"] for result in out["runs"]] == ["runs/a", "runs/b"]
