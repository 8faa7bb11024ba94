"""How a model writes texts: options of the verbs that let it write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

import typer

from seriatim.cli.signature import flag
from seriatim.errors import UsageError

PANEL = "Writing (translate, caption)"


def _option(metavar: str, help: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(metavar=metavar, help=help, rich_help_panel=PANEL)
    return info


BeamSize = Annotated[int | None, _option("INTEGER", "beginnings that are kept; 1 is greedy (default: the run's)")]
NBest = Annotated[int | None, _option("INTEGER", "texts for each source, at most the beam's size")]
LengthPenalty = Annotated[float | None, _option("NUMBER", "favours longer texts (default: the run's)")]
MaxLength = Annotated[int | None, _option("INTEGER", "units written at most (default: the run's)")]
Alignment = Annotated[bool, _option("", "give attention's weights too")]


class Writes(Protocol):
    """A run, which writes or does not."""

    @property
    def task(self) -> str: ...
    @property
    def decoding_options(self) -> tuple[str, ...]:
        """Options that it may be given anew."""


def asked(run: Writes, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given of the options ``typed``. Raises ``UsageError`` where the run's task does not write.

    ``draw`` asks for the alignment that it draws.
    """
    given = {name: value for name, value in typed.items() if value is not None and value is not False}
    for name in given:
        if not run.decoding_options:
            raise UsageError(f"{flag(name)}: for translate and caption runs; this is a {run.task} run")
    if given.pop("draw", None) is not None:
        given["alignment"] = True
    return given
