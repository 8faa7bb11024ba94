"""``seriatim generate RUN``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from seriatim.cli.output import Json, say, write_json

EXAMPLE = 'seriatim generate runs/language-lstm-1 --prompt "Once upon" --temperature 0.8'


def generate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run folder of a language model")],
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="text to go on from", show_default=False)] = "",
    length: Annotated[int, typer.Option(metavar="INTEGER", help="units to generate")] = 500,
    temperature: Annotated[
        float, typer.Option(metavar="NUMBER", help="below 1 safer, above 1 bolder, 0 always the likeliest")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(metavar="INTEGER", help="draw from the k likeliest units; 0 is off")] = 0,
    top_p: Annotated[
        float, typer.Option(metavar="NUMBER", help="draw from the likeliest units that hold this much probability")
    ] = 1.0,
    seed: Annotated[
        int | None, typer.Option(metavar="INTEGER", help="seed of the draws (default: another text each time)")
    ] = None,
    json: Json = False,
) -> None:
    """Let a language model write on from a prompt."""
    from seriatim import run as runs

    pieces = runs.load(run).generate(
        prompt, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
    )
    if json:
        write_json({"run": str(run), "prompt": prompt, "text": "".join(pieces)})
        return
    sys.stdout.write(prompt)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    say()
