"""How a model writes texts: options of the verbs that let it write."""

from __future__ import annotations

from typing import Annotated

import typer

PANEL = "Writing (translate, caption)"


def _option(metavar: str, help: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(metavar=metavar, help=help, rich_help_panel=PANEL)
    return info


BeamSize = Annotated[int | None, _option("INTEGER", "beginnings that are kept; 1 is greedy (default: the run's)")]
NBest = Annotated[int | None, _option("INTEGER", "texts for each source, at most the beam's size")]
LengthPenalty = Annotated[float | None, _option("NUMBER", "favours longer texts (default: the run's)")]
MaxLength = Annotated[int | None, _option("INTEGER", "units written at most (default: the run's)")]
Alignment = Annotated[bool, _option("", "give attention's weights too")]
