"""Turns an options dataclass into the options of a command, so that each option is declared only once.

``drop_duplicates`` becomes ``--drop-duplicates``, with the help, default and choices of the field. Values are passed on
as text, and ``options.fill`` reads them as it does for ``seriatim.train``.
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
from seriatim.options import AUTO, count, duration, fill, size

_METAVARS: dict[object, str] = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


def parameters(declared: type, panels: Mapping[type, str]) -> list[inspect.Parameter]:
    """Return the parameters of a Typer command, one for each field of the dataclass ``declared``.

    ``panels`` maps each class to the help panel of the fields that it declares first, in the order of the help.
    """
    hints = typing.get_type_hints(declared)
    owners = {name: owner for owner in declared.__mro__ for name in inspect.get_annotations(owner)}
    order = list(panels)
    fields = sorted(dataclasses.fields(declared), key=lambda field: order.index(owners[field.name]))
    return [_parameter(field, hints[field.name], panels[owners[field.name]]) for field in fields]


def values(declared: type, typed: Mapping[str, object]) -> dict[str, object]:
    """Convert the typed values of the options of ``declared``. Options without a value are left out.

    Raises ``UsageError`` that names the option as it was typed (``--vocab-size``).
    """
    negatives = {field.name for field in dataclasses.fields(declared) if field.metadata["negative"]}
    present = {name: value for name, value in typed.items() if value is not None}
    present |= {name: False for name in negatives & present.keys()}  # --no-header was typed
    try:
        filled: object = fill(declared, present)
    except UsageError as error:
        name, _, rest = str(error).partition(":")
        raise UsageError(f"{flag(name)}:{rest}" if name in present else str(error)) from None
    return {name: getattr(filled, name) for name in present}


def flag(name: str) -> str:
    """Return the option as it is typed: ``vocab_size`` → ``--vocab-size``."""
    return "--" + name.replace("_", "-")


def _parameter(field: dataclasses.Field[Any], hint: object, panel: str) -> inspect.Parameter:
    rules = field.metadata
    is_switch = hint is bool
    name = flag(rules["negative"] or field.name)
    info = typer.Option(
        f"{name}/{flag('no_' + field.name)}" if rules["negatable"] else name,
        help=_help(field),
        show_default=False,
        metavar="" if is_switch else _metavar(hint, rules),
        autocompletion=_completion(rules["choices"]) if rules["choices"] else None,
        rich_help_panel=panel,
    )
    type_ = bool | None if is_switch else str | None
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[type_, info]
    )


def _metavar(hint: object, rules: Mapping[str, Any]) -> str:
    if rules["choices"]:
        return "|".join(rules["choices"])
    if rules["parse"] in (count, duration, size):
        return {count: f"INTEGER|{AUTO}", duration: "DURATION", size: "SIZE"}[rules["parse"]]
    if isinstance(hint, types.UnionType):
        hint = next(member for member in typing.get_args(hint) if member is not type(None))
    return "A,B,…" if typing.get_origin(hint) is tuple else _METAVARS[hint]


def _help(field: dataclasses.Field[Any]) -> str:
    """Return the field's help with its default, unless it is None, a boolean or a tuple, or the help tells it."""
    text: str = field.metadata["help"]
    value = field.default
    if value is None or isinstance(value, (bool, tuple)) or "(default: " in text:
        return text
    default = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} (default: {default})"


def _completion(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete
