"""``seriatim evaluate RUN [DATA]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seriatim.cli.output import Json, write_json
from seriatim.cli.use import Use
from seriatim.cli.writing import BeamSize, LengthPenalty, MaxLength, decoding_options

EXAMPLE = "seriatim evaluate runs/classify-lstm-1 new_messages.tsv"


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run folder")],
    data: Annotated[
        Path | None, typer.Argument(metavar="[DATA]", help="data to score on (default: the test part)")
    ] = None,
    use: Use = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_length: MaxLength = None,
    json: Json = False,
) -> None:
    """Score a trained model and its baselines, on the test part or on other data."""
    from seriatim import run as runs
    from seriatim.cli.scores import show_result

    loaded = runs.load(run)
    typed = {"beam_size": beam_size, "length_penalty": length_penalty, "max_length": max_length}
    result = loaded.evaluate(data, use=use, **decoding_options(loaded, typed))
    if json:
        write_json(result)
    else:
        verdict = runs.verdict(result, loaded.main_score, loaded.higher_is_better)
        # The notes describe the training data.
        show_result(loaded, result, verdict, loaded.notes if data is None else ())
