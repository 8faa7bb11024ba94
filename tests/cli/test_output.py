"""Tables and JSON on standard output."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seriatim.cli.output import TextTable, decimals, is_terminal, number, say, show, write_json
from seriatim.cli.scores import score_table

TABLE = TextTable(("model", "loss"), [("a[b]", "10.0"), ("longer", "9.5")], marked=1, numeric=frozenset({"loss"}))


def test_plain_table(capsys):
    show(TABLE)
    assert capsys.readouterr().out == "  model   loss\n  a[b]    10.0\n> longer   9.5\n"


def test_drawn_table_keeps_brackets_and_marks(capsys, monkeypatch):
    monkeypatch.setattr("seriatim.cli.output.is_terminal", lambda stream: True)
    show(TABLE)
    lines = capsys.readouterr().out.splitlines()
    assert any("a[b]" in line and "▶" not in line for line in lines)
    assert any("longer" in line and "▶" in line for line in lines)


SCORES = {"mase": 0.8123, "smape": 12.3456, "rmse": 1.23e20, "mse": 1.5e40, "mae": 123456.7, "quantile_loss": 0.0123}
MODELS = ("lstm", "naive", "seasonal_naive", "drift", "ar")


@pytest.mark.parametrize("width", [200, 80, 79, 60, 45])
def test_drawn_table_breaks_no_name_and_no_number(width, capsys, monkeypatch):
    """Scores that do not fit beside the others follow in another table, with the names of the models."""
    monkeypatch.setattr("seriatim.cli.output.is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", str(width))
    table = score_table({model: SCORES for model in MODELS}, "mase", False, marked="lstm")
    show(table)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    words = out.split()
    for index, model in enumerate(MODELS):
        tables = words.count("model")
        assert words.count(model) == tables
        for name, value in zip(table.columns[1:], table.rows[index][1:], strict=True):
            assert words.count(name) == 1 and words.count(value) == len(MODELS)
    assert (words.count("model") == 1) == (width == 200) and words.count("▶") == words.count("model")


def test_text_column_of_drawn_table_is_folded(capsys, monkeypatch):
    monkeypatch.setattr("seriatim.cli.output.is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "60")
    show(
        TextTable(
            ("name", "size", "command"), [("words", "1.5 MB", "seriatim train " * 5)], numeric=frozenset({"size"})
        )
    )
    out = capsys.readouterr().out
    assert out.split().count("name") == 1 and out.split().count("train") == 5
    assert "1.5 MB" in out


EVIL = "a\x1b[2Jb\x9bc\u202ed\ne\tf\ud83dg"


@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_do_not_reach_the_terminal(terminal, capsys, monkeypatch):
    monkeypatch.setattr("seriatim.cli.output.is_terminal", lambda stream: terminal)
    monkeypatch.setenv("COLUMNS", "200")
    escaped = r"a\x1b[2Jb\x9bc\u202ed\ne\tf\ud83dg"
    show(TextTable(("model", EVIL), [(EVIL, "1")], numeric=frozenset({EVIL})))
    out = capsys.readouterr().out
    assert out.count(escaped) == 2 and "\x1b[2J" not in out
    say(f"note: {EVIL}")
    assert capsys.readouterr().out == f"note: {escaped}\n".replace(r"\t", "\t")


def test_control_characters_of_json_are_escaped_and_mean_the_same(capsys):
    write_json({EVIL: [EVIL]})
    out = capsys.readouterr().out
    assert out.isprintable() or out[:-1].isprintable()
    assert json.loads(out) == {EVIL: [EVIL]}


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
    text = number(value, decimals([value, None, math.nan])).replace(",", "")
    assert abs(float(text) - value) <= 5e-4 * value


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.95, 0.5], 4), ([4.75, 28.1], 3), ([812.0], 2), ([123456.0], 0), ([0.00123], 6), ([], 1), ([0.0], 1)],
)
def test_decimals(values, expected):
    assert decimals(values) == expected


def test_missing_number():
    assert [number(value, 2) for value in (None, math.nan, 1234.5, 3)] == ["-", "-", "1,234.50", "3.00"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e20, "1e+20"),
        (-1.23456789e30, "-1.2346e+30"),
        (987654321.0, "987,654,321"),
        (3e-12, "3e-12"),
        (0.0, "0"),
        (0.25, "0.25"),
    ],
)
def test_numbers_of_many_digits_are_short(value, expected):
    assert number(value, 0) == expected


def test_small_numbers_have_an_exponent():
    """A column of errors of 1e-6 and 0 needs no ten decimals."""
    values = [8.8961e-7, 0.0, 1e-15]
    assert [number(value, decimals(values)) for value in values] == ["8.896e-07", "0.0000000", "1e-15"]
