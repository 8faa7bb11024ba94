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

from seriatim.cli.opening import open_model
from seriatim.cli.output import Json, say, write_json
from seriatim.cli.use import Use
from seriatim.controls import escape_controls
from seriatim.errors import DataError, UsageError

EXAMPLE = 'seriatim generate runs/language-lstm-1 --prompt "Once upon" --temperature 0.8'


def generate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run or runtime folder of a model that writes text")],
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="text to continue, or to answer", show_default=False)
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="answer each line of standard input, until it ends")] = False,
    use: Use = None,
    length: Annotated[int, typer.Option(metavar="INTEGER", help="maximum number of units to generate")] = 500,
    temperature: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", help="below 1: safer text; above 1: more varied; 0: the most probable unit each time"
        ),
    ] = 1.0,
    top_k: Annotated[int, typer.Option(metavar="INTEGER", help="draw from the k most probable units; 0 is off")] = 0,
    top_p: Annotated[
        float,
        typer.Option(metavar="NUMBER", help="draw from the most probable units with this total probability"),
    ] = 1.0,
    repetition_penalty: Annotated[
        float, typer.Option(metavar="NUMBER", help="above 1: earlier units become less probable")
    ] = 1.0,
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="end before this text; can be repeated")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="INTEGER", help="seed of the random draws (default: another text each time)")
    ] = None,
    json: Json = False,
) -> None:
    """Let a model continue a prompt or answer it; with --chat, line by line."""
    from seriatim.runtime.model import Model

    if chat and prompt is not None:
        raise UsageError("--prompt: not with --chat, which reads its prompts from standard input")
    loaded = open_model(run)
    if loaded.writing is None:
        raise UsageError(f"generate: for language and translate runs; {run} is a {loaded.task} run")
    if isinstance(loaded, Model):
        if use is not None:
            raise UsageError("--use: for run folders; an exported model is one model")
        write = loaded.generate
    else:
        write = partial(loaded.generate, use=use)
    answer = partial(
        write,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        stop=tuple(stop or ()),
        seed=seed,
    )
    if chat:
        turns = _turns(answer, is_shown=not json)
        if json:
            write_json({"run": str(run), "turns": list(turns)})
        else:
            for _ in turns:
                pass
        return
    text = prompt or ""
    pieces = answer(text)
    if json:
        write_json({"run": str(run), "prompt": text, "text": "".join(pieces)})
    else:
        _write(itertools.chain([text], pieces) if loaded.writing == "continues" else pieces)


def _turns(answer: Callable[[str], Iterator[str]], *, is_shown: bool) -> Iterator[dict[str, str]]:
    """Answer each line of standard input."""
    for line in _lines():
        pieces = answer(line)
        text = _write(pieces) if is_shown else "".join(pieces)
        yield {"prompt": line, "text": text}


def _lines() -> Iterator[str]:
    """Yield the lines of standard input that are not blank. A terminal offers editing and a history."""
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401  # input() uses it

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
    """Write each piece at once, then a line end, and return the whole text.

    A terminal shows control characters as escapes. A file or a pipe receives the text itself.
    """
    text = ""
    for piece in pieces:
        text += piece
        sys.stdout.write(escape_controls(piece, keep="\t\n") if sys.stdout.isatty() else piece)
        sys.stdout.flush()
    say()
    sys.stdout.flush()
    return text
