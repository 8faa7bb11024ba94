"""Options dataclasses as command-line options."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from seriatim.cli.signature import flag, parameters, values
from seriatim.errors import UsageError
from seriatim.options import count, duration, option
from seriatim.tasks.registry import ROWS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    size: int = option(3, "how large", minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Base):
    kind: str = option("red", "colour", choices=("red", "green"))
    size: int = option(5, "how large here", minimum=1)
    names: tuple[str, ...] = option((), "columns")
    limit: float | None = option(None, "at most", parse=duration)
    parts: int | str = option(1, "pieces (default: auto)", parse=count)
    bold_face: bool = option(False, "in bold")
    header: bool = option(True, "no header line", negative="no-header")


PANELS = {Options: "This", Base: "Base"}


def infos():
    return {parameter.name: get_args(parameter.annotation)[1] for parameter in parameters(Options, PANELS)}


def test_panels_follow_first_declaration_and_order():
    assert [(name, info.rich_help_panel) for name, info in infos().items()] == [
        ("kind", "This"),
        ("names", "This"),
        ("limit", "This"),
        ("parts", "This"),
        ("bold_face", "This"),
        ("header", "This"),
        ("size", "Base"),
    ]


def test_names_help_and_metavars():
    described = {name: (info.default, info.metavar, info.help) for name, info in infos().items()}
    assert described == {
        "kind": ("--kind", "red|green", "colour (default: red)"),
        "size": ("--size", "INTEGER", "how large here (default: 5)"),
        "names": ("--names", "A,B,…", "columns"),
        "limit": ("--limit", "DURATION", "at most"),
        "parts": ("--parts", "INTEGER|auto", "pieces (default: auto)"),
        "bold_face": ("--bold-face", "", "in bold"),
        "header": ("--no-header", "", "no header line"),
    }


def test_completion_of_choices():
    assert infos()["kind"].autocompletion("g") == ["green"]


def test_typed_values_are_converted():
    typed = {"kind": None, "size": "7", "names": "a, b", "limit": "2m", "bold_face": True, "header": True}
    assert values(Options, typed) == {
        "size": 7,
        "names": ("a", "b"),
        "limit": 120.0,
        "bold_face": True,
        "header": False,
    }


def test_errors_name_the_option_as_typed():
    with pytest.raises(UsageError, match=r"^--bold-face: got 'x', wanted true or false$"):
        values(Options, {"bold_face": "x"})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_help_shows_every_option_of_a_task(seriatim, row):
    help_text = seriatim("train", row.name, "--help").out
    for field in dataclasses.fields(row.options):
        negative = field.metadata["negative"]
        assert f"  {'--' + negative if negative else flag(field.name)}" in help_text
        assert "[" not in field.metadata["help"], "Rich would read it as markup"
