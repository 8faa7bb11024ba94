"""``seriatim generate RUN``."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from seriatim.cli.output import Json, say, write_json
from seriatim.errors import DataError, UsageError

EXAMPLE = 'seriatim generate runs/language-lstm-1 --prompt "Once upon" --temperature 0.8'


def generate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run folder of a language or translate model")],
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="text to go on from, or to answer", show_default=False)
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="answer each line of standard input, until it ends")] = False,
    length: Annotated[int, typer.Option(metavar="INTEGER", help="units to generate at most")] = 500,
    temperature: Annotated[
        float, typer.Option(metavar="NUMBER", help="below 1 safer, above 1 bolder, 0 always the likeliest")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(metavar="INTEGER", help="draw from the k likeliest units; 0 is off")] = 0,
    top_p: Annotated[
        float, typer.Option(metavar="NUMBER", help="draw from the likeliest units that hold this much probability")
    ] = 1.0,
    repetition_penalty: Annotated[
        float, typer.Option(metavar="NUMBER", help="above 1: units that were there already become less likely")
    ] = 1.0,
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="end before this text; may be given several times")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="INTEGER", help="seed of the draws (default: another text each time)")
    ] = None,
    json: Json = False,
) -> None:
    """Let a model write on from a prompt, or answer it; with --chat, line by line."""
    from seriatim import run as runs

    if chat and prompt is not None:
        raise UsageError("--prompt: not with --chat, which reads its prompts from standard input")
    opened = runs.load(run)
    if opened.writing is None:
        raise UsageError(f"generate: for language and translate runs; {run} is a {opened.task} run")
    answer = partial(
        opened.generate,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        stop=tuple(stop or ()),
        seed=seed,
    )
    if chat:
        turns = _turns(answer, shown=not json)
        if json:
            write_json({"run": str(run), "turns": list(turns)})
        else:
            for _ in turns:
                pass
        return
    asked = prompt or ""
    pieces = answer(asked)
    if json:
        write_json({"run": str(run), "prompt": asked, "text": "".join(pieces)})
    else:
        _write(itertools.chain([asked], pieces) if opened.writing == "continues" else pieces)


def _turns(answer: Callable[[str], Iterator[str]], *, shown: bool) -> Iterator[dict[str, str]]:
    """Answer line after line, as they come."""
    for line in _lines():
        pieces = answer(line)
        text = _write(pieces) if shown else "".join(pieces)
        yield {"prompt": line, "text": text}


def _lines() -> Iterator[str]:
    """Lines of standard input that hold something; on a terminal they can be edited and called back."""
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401  # input() finds it

        with suppress(EOFError):
            while True:
                if line := input("> ").strip():
                    yield line
        say()
        return
    try:
        yield from filter(None, map(str.strip, sys.stdin))
    except UnicodeDecodeError:
        raise DataError("standard input: not UTF-8") from None


def _write(pieces: Iterable[str]) -> str:
    """Write pieces as they come, and a line end; return them together."""
    text = ""
    for piece in pieces:
        text += piece
        sys.stdout.write(piece)
        sys.stdout.flush()
    say()
    sys.stdout.flush()
    return text
