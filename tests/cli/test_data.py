"""``seriatim data``."""

from __future__ import annotations

import json


def test_list(seriatim, bundled):
    lines = seriatim("data").out.splitlines()
    assert lines[0].split() == ["name", "task", "size", "licence", "command"]
    assert lines[1].endswith("seriatim train classify messages") and "0.1 kB" in lines[1]
    assert len(lines) == 3


def test_show_one_set(seriatim, bundled):
    out = seriatim("data", "messages").out
    assert "licence: CC BY 4.0" in out and "source: a lab" in out
    assert out.count("    ham\thello\n") == 4 and "    label\ttext\n" in out
    assert out.endswith("train on it: seriatim train classify messages --text text --label label --drop-duplicates\n")


def test_json(seriatim, bundled):
    out = json.loads(seriatim("data", "--json").out)
    assert [item["name"] for item in out["sets"]] == ["messages", "plays"]
    plays = json.loads(seriatim("data", "plays", "--json").out)
    assert plays["bytes"] == 150_000 and plays["first_lines"] == ["First Citizen:"] * 5


def test_unknown_set(seriatim, bundled):
    result = seriatim("data", "mesages")
    assert (result.code, result.out) == (2, "")
    assert result.err == "seriatim: error: data: no bundled set 'mesages' (did you mean 'messages'?)\n"
