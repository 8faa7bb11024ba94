"""A share is written in one form, ``5 %``, in messages, reports and documents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import seriatim
from script_runner import ROOT
from seriatim.percent import percent

PACKAGE = Path(seriatim.__file__).parent
STYLE_SHEET = re.compile(r"(width|height):|color-mix|minmax")
"""In a style sheet a percentage has no space."""
CLOSE = re.compile(r"\d%(?![\w.])")


def texts_without_space(source: str) -> Iterator[str]:
    """The strings of a file with a number that touches its percent sign, except style sheets."""
    nodes = list(ast.walk(ast.parse(source)))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        id(node) for node in nodes if isinstance(node, ast.JoinedStr)
    }
    specs = {id(node.format_spec) for node in nodes if isinstance(node, ast.FormattedValue)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr) and id(node) not in specs:
            text = "".join(map(_sample, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            text = node.value
        else:
            continue
        if CLOSE.search(text) and not STYLE_SHEET.search(text):
            yield text


def _sample(part: ast.expr) -> str:
    """The text of a part of a formatted string, ``5%`` where a value is formatted as a percentage."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    spec = getattr(part, "format_spec", None)
    return "5%" if spec is not None and ast.unparse(spec).endswith("%'") else "…"


def test_percent():
    assert [percent(0.05), percent(0.945, 1), percent(1)] == ["5 %", "94.5 %", "100 %"]


def test_messages_have_a_space_before_the_percent_sign():
    for file in (*PACKAGE.rglob("*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("recipes/*.py")):
        source = file.read_text(encoding="utf-8")
        assert not CLOSE.search(source) or list(texts_without_space(source)) == [], file


def test_documents_have_a_space_before_the_percent_sign():
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/*.md"), *ROOT.glob("benchmarks/*.md")]
    lines = [(file.name, line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if CLOSE.search(line[1])] == []


@pytest.mark.parametrize("source", ["f'{share:.0%} of the words'", "'more than 5% of the words'", "f'{n} of 5%'"])
def test_the_search_finds_texts_without_space(source):
    assert len(list(texts_without_space(source))) >= 1
