"""``seriatim inspect``."""

from __future__ import annotations

import json
from pathlib import Path


def test_verdict_comes_first_then_what_needs_attention(seriatim, runs):
    lines = seriatim("inspect", "runs/x", "new.txt").out.splitlines()
    assert lines[0] == "the model looks 23 steps back"
    assert lines[2] == "fault: reach: too short; try: --truncation 35,200"
    assert lines[3] == "1 of 3 checks passed, 1 could not be measured here"
    assert lines[4] == "report: runs/x/report.html"
    assert runs.calls == [("load", Path("runs/x")), ("inspect", Path("new.txt"))]


def test_json_has_horizons_and_checks(seriatim, runs):
    result = json.loads(seriatim("inspect", "runs/x", "--json").out)
    assert set(result) == {"run", "horizons", "verdict", "checks"}
    assert result["horizons"]["truncation"] == 35
    assert runs.calls[1] == ("inspect", None)
