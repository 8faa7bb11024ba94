"""``seriatim predict``."""

from __future__ import annotations

import io
import json
import types
from pathlib import Path


def test_json_lines(seriatim, runs):
    lines = seriatim("predict", "runs/x", "new.tsv").out.splitlines()
    assert [json.loads(line) for line in lines] == [{"row": 1, "label": "스팸"}, {"row": 2, "label": "ham"}]
    assert runs.calls[1] == ("predict", Path("new.tsv"), None)


def test_json_is_one_object(seriatim, runs):
    out = json.loads(seriatim("predict", "runs/x", "new.tsv", "--json").out)
    assert out["run"] == "runs/x" and len(out["predictions"]) == 2


def test_output_file(seriatim, runs):
    assert seriatim("predict", "runs/x", "new.tsv", "-o", "out.csv").out == "predictions: out.csv\n"
    assert runs.calls[1:] == [("predict", Path("new.tsv"), None), ("write_rows", 2, Path("out.csv"))]


def test_standard_input(seriatim, runs, monkeypatch):
    stream = io.BytesIO(b"text\nhello\n")
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=stream))
    assert seriatim("predict", "runs/x", "-", "--format", "csv").code == 0
    assert runs.calls[1] == ("predict", stream, "csv")


def test_format_is_checked_before_reading_the_run(seriatim, runs):
    result = seriatim("predict", "runs/x", "-", "--format", "cvs")
    assert result.code == 2 and "did you mean 'csv'?" in result.err
    result = seriatim("predict", "runs/x", "new.tsv", "--format", "csv")
    assert result.code == 2 and "standard input only" in result.err
    assert runs.calls == []


def test_output_is_checked_before_reading_the_run(seriatim, runs, tmp_path):
    result = seriatim("predict", "runs/x", "new.tsv", "-o", "out.xlsx")
    assert result.code == 2 and "out.xlsx: cannot write this format" in result.err
    (tmp_path / "in.csv").write_text("a\n")
    result = seriatim("predict", "runs/x", str(tmp_path / "in.csv"), "-o", str(tmp_path / "in.csv"))
    assert result.code == 2 and "is the input file" in result.err
    assert runs.calls == []
