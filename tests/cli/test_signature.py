"""Options dataclasses as command-line options."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from seriatim.cli.signature import flag, parameters, values
from seriatim.cli.train import TASKS
from seriatim.errors import UsageError
from seriatim.options import duration, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    size: int = option(3, "how large", minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Base):
    kind: str = option("red", "colour", choices=("red", "green"))
    size: int = option(5, "how large here", minimum=1)
    names: tuple[str, ...] = option((), "columns")
    limit: float | None = option(None, "at most", parse=duration)
    bold_face: bool = option(False, "in bold")
    header: bool = option(True, "no header line", negative="no-header")


PANELS = {Options: "This", Base: "Base"}


def infos():
    return {one.name: get_args(one.annotation)[1] for one in parameters(Options, PANELS)}


def test_panels_are_by_first_declaration_in_the_order_given():
    assert [(name, info.rich_help_panel) for name, info in infos().items()] == [
        ("kind", "This"),
        ("names", "This"),
        ("limit", "This"),
        ("bold_face", "This"),
        ("header", "This"),
        ("size", "Base"),
    ]


def test_names_help_and_metavars():
    told = {name: (info.default, info.metavar, info.help) for name, info in infos().items()}
    assert told == {
        "kind": ("--kind", "red|green", "colour (default: red)"),
        "size": ("--size", "INTEGER", "how large here (default: 5)"),
        "names": ("--names", "A,B,…", "columns"),
        "limit": ("--limit", "DURATION", "at most"),
        "bold_face": ("--bold-face", "", "in bold"),
        "header": ("--no-header", "", "no header line"),
    }


def test_choices_complete():
    assert infos()["kind"].autocompletion("g") == ["green"]


def test_values_are_those_given_in_their_types():
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


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_option_of_a_task_is_offered(seriatim, task):
    shown = seriatim("train", task.name, "--help").out
    for field in dataclasses.fields(task.options):
        negative = field.metadata["negative"]
        assert f"  {'--' + negative if negative else flag(field.name)}" in shown
        assert "[" not in field.metadata["help"], "Rich would read it as markup"
