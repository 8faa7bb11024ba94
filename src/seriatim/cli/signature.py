"""An options dataclass becomes the options of a command, so that nothing about them is written twice.

``drop_duplicates`` becomes ``--drop-duplicates``; help, default and choices are the field's own. Values
arrive as the words that were typed, and ``options.fill`` reads them as it does for the Python face.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from seriatim.errors import UsageError
from seriatim.options import duration, fill, size

_METAVARS: dict[object, str] = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


def parameters(declared: type, panels: Mapping[type, str]) -> list[inspect.Parameter]:
    """Parameters for a Typer command, one per field of the dataclass ``declared``.

    ``panels`` names the help panel of the fields that each class declares first, in the order in which
    the panels are shown.
    """
    hints = typing.get_type_hints(declared)
    owners = {name: owner for owner in declared.__mro__ for name in inspect.get_annotations(owner)}
    order = list(panels)
    fields = sorted(dataclasses.fields(declared), key=lambda field: order.index(owners[field.name]))
    return [_parameter(field, hints[field.name], panels[owners[field.name]]) for field in fields]


def values(declared: type, given: Mapping[str, object]) -> dict[str, object]:
    """Read the words typed for the options of ``declared``: those given only, in their own types.

    Raises ``UsageError`` that names the option as it was typed (``--vocab-size``).
    """
    negatives = {field.name for field in dataclasses.fields(declared) if field.metadata["negative"]}
    named = {name: value for name, value in given.items() if value is not None}
    named |= {name: False for name in negatives & named.keys()}  # --no-header was typed
    try:
        filled: object = fill(declared, named)
    except UsageError as error:
        name, _, rest = str(error).partition(":")
        raise UsageError(f"{flag(name)}:{rest}" if name in named else str(error)) from None
    return {name: getattr(filled, name) for name in named}


def flag(name: str) -> str:
    """The option as it is typed: ``vocab_size`` → ``--vocab-size``."""
    return "--" + name.replace("_", "-")


def _parameter(field: dataclasses.Field[Any], hint: object, panel: str) -> inspect.Parameter:
    wanted = field.metadata
    switch = hint is bool
    spelled = flag(wanted["negative"] or field.name)
    info = typer.Option(
        spelled,
        help=_help(field),
        show_default=False,
        metavar="" if switch else _metavar(hint, wanted),
        autocompletion=_completion(wanted["choices"]) if wanted["choices"] else None,
        rich_help_panel=panel,
    )
    kind = bool | None if switch else str | None
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, info])


def _metavar(hint: object, wanted: Mapping[str, Any]) -> str:
    if wanted["choices"]:
        return "|".join(wanted["choices"])
    if wanted["parse"] in (duration, size):
        return {duration: "DURATION", size: "SIZE"}[wanted["parse"]]
    if isinstance(hint, types.UnionType):
        hint = next(one for one in typing.get_args(hint) if one is not type(None))
    return "A,B,…" if typing.get_origin(hint) is tuple else _METAVARS[hint]


def _help(field: dataclasses.Field[Any]) -> str:
    """The field's help and its default, unless there is none or the help tells it already."""
    told: str = field.metadata["help"]
    value = field.default
    if value is None or isinstance(value, (bool, tuple)):
        return told
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{told} (default: {shown})"


def _completion(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete
