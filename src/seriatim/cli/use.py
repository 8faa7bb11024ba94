"""The option ``--use`` of the verbs that predict with a run."""

from __future__ import annotations

from typing import Annotated

import typer

Use = Annotated[
    str | None,
    typer.Option(
        metavar="network|blend|BASELINE",
        help="model of the run (default: the one that was best on the validation part)",
        show_default=False,
    ),
]
