"""``seriatim compare``."""

from __future__ import annotations

import json


def test_table_is_sorted_and_has_notes(seriatim, runs):
    lines = seriatim("compare", "runs/a", "runs/b").out.splitlines()
    assert lines[1].split() == ["runs/b", "(lstm)", "8.0000"] and lines[2].split()[0] == "runs/a"
    assert lines[-1] == "note: other test data"


def test_table_has_the_model_that_each_run_uses(seriatim, runs, monkeypatch):
    import sys

    plain = runs.compare(["runs/a", "runs/b"])
    blended, other = plain["runs"]
    blended |= {"best": "blend", "blend": {"parts": {"lstm": 0.4, "markov": 0.6}, "scores": {"perplexity": 4.5}}}
    other |= {"best": "markov", "blend": None, "baselines": {"markov": {"perplexity": 5.5}}}
    monkeypatch.setattr(sys.modules["seriatim.run"], "compare", lambda paths: plain)
    lines = seriatim("compare", "runs/a", "runs/b").out.splitlines()
    assert [line.split() for line in lines[1:5]] == [
        ["runs/a", "(lstm", "+", "markov,", "in", "use)", "4.5000"],
        ["runs/b", "(markov,", "in", "use)", "5.5000"],
        ["runs/b", "(lstm)", "8.0000"],
        ["runs/a", "(lstm)", "9.0000"],
    ]


def test_json(seriatim, runs):
    out = json.loads(seriatim("compare", "runs/a", "runs/b", "--json").out)
    assert [result["run"] for result in out["runs"]] == ["runs/a", "runs/b"]
