"""Options of writing texts, for the verbs ``evaluate`` and ``predict``."""

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


BeamSize = Annotated[
    int | None,
    _option("INTEGER", "number of partial texts that the beam search keeps; 1 is greedy (default: as in training)"),
]
NBest = Annotated[int | None, _option("INTEGER", "number of texts for each input, at most --beam-size")]
LengthPenalty = Annotated[float | None, _option("NUMBER", "preference for longer texts (default: as in training)")]
MaxLength = Annotated[int | None, _option("INTEGER", "maximum number of written units (default: as in training)")]
Alignment = Annotated[bool, _option("", "also return the attention weights")]


class DecodingRun(Protocol):
    """A run with its task and decoding options."""

    @property
    def task(self) -> str: ...
    @property
    def decoding_options(self) -> tuple[str, ...]:
        """The options that other verbs may override; empty if the task writes no texts."""


def decoding_options(run: DecodingRun, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``typed`` that have a value. Raises ``UsageError`` if the run's task writes no texts.

    ``draw`` becomes ``alignment``, because it draws the alignment.
    """
    options = {name: value for name, value in typed.items() if value is not None and value is not False}
    for name in options:
        if not run.decoding_options:
            raise UsageError(f"{flag(name)}: for translate and caption runs; this is a {run.task} run")
    if options.pop("draw", None) is not None:
        options["alignment"] = True
    return options
