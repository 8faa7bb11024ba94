"""Tables and JSON on standard output."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seriatim.cli.output import Table, decimals, is_terminal, number, show, write_json

TABLE = Table(("model", "loss"), [("a[b]", "10.0"), ("longer", "9.5")], marked=1, numeric=frozenset({"loss"}))


def test_plain_table(capsys):
    show(TABLE)
    assert capsys.readouterr().out == "  model   loss\n  a[b]    10.0\n> longer   9.5\n"


def test_drawn_table_keeps_brackets_and_marks(capsys, monkeypatch):
    monkeypatch.setattr("seriatim.cli.output.is_terminal", lambda stream: True)
    show(TABLE)
    lines = capsys.readouterr().out.splitlines()
    assert any("a[b]" in line and "▶" not in line for line in lines)
    assert any("longer" in line and "▶" in line for line in lines)


@pytest.mark.parametrize(
    ("terminal", "term", "expected"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_is_terminal(monkeypatch, terminal, term, expected):
    monkeypatch.setenv("TERM", term)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    assert is_terminal(stream) is expected


def test_json_is_one_strict_object(capsys):
    write_json({"nan": math.nan, "deep": [{"inf": -math.inf}], "path": Path("a/b"), "text": "한국어\n"})
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    strict = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert strict == {"nan": None, "deep": [{"inf": None}], "path": "a/b", "text": "한국어\n"}


@given(st.floats(1e-6, 1e5))
def test_decimals_show_four_digits_or_more(value):
    shown = number(value, decimals([value, None, math.nan])).replace(",", "")
    assert abs(float(shown) - value) <= 5e-4 * value


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.95, 0.5], 4), ([4.75, 28.1], 3), ([812.0], 2), ([123456.0], 0), ([0.00123], 6), ([], 1), ([0.0], 1)],
)
def test_decimals(values, expected):
    assert decimals(values) == expected


def test_missing_number():
    assert [number(value, 2) for value in (None, math.nan, 1234.5, 3)] == ["-", "-", "1,234.50", "3.00"]
