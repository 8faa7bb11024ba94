"""``seriatim serve RUN|DIR``."""

from __future__ import annotations

import inspect
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seriatim.addresses import without_password
from seriatim.cli.output import say
from seriatim.cli.signature import parameters, values
from seriatim.cli.use import Use
from seriatim.errors import UsageError
from seriatim.options import fill
from seriatim.serve.options import ServeOptions, read_environment

if TYPE_CHECKING:
    from seriatim.runtime import Model

EXAMPLE = "seriatim serve exported --port 8000"


def command() -> Callable[..., None]:
    """Return the function behind ``seriatim serve``, with the options as its parameters."""

    def serve(*, run: Path, use: str | None, **typed: object) -> None:
        """Serve a model over HTTP: predictions, texts, and sessions whose state survives a crash.

        Each option is also a variable of the environment: --max-sessions is SERIATIM_MAX_SESSIONS.
        """
        _serve(run, use, values(ServeOptions, typed))

    keyword = inspect.Parameter.KEYWORD_ONLY
    argument = typer.Argument(metavar="RUN|DIR", help="run folder or runtime folder")
    serve.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("run", keyword, annotation=Annotated[Path, argument]),
            *parameters(ServeOptions, {ServeOptions: "Server"}),
            inspect.Parameter("use", keyword, default=None, annotation=Use),
        ]
    )
    return serve


def _serve(path: Path, use: str | None, typed: dict[str, Any]) -> None:
    from seriatim.runtime.loading import is_runtime_folder, load
    from seriatim.serve.server import serve

    options = fill(ServeOptions, read_environment(os.environ) | typed)
    options.check()
    logging.basicConfig(format="seriatim: %(message)s", level=logging.WARNING)

    def ready(address: str) -> None:
        say(f"serving {path} at {address} (stop with Ctrl-C)")
        place = options.state or str(default)
        say("sessions: in memory only" if options.durability == "memory" else f"sessions: {without_password(place)}")

    default = path.resolve().with_name(path.resolve().name + ".sessions.db")
    if is_runtime_folder(path):
        if use is not None:
            raise UsageError("--use: for run folders; an exported model is one model")
        serve(lambda: load(path), options, default, ready)
    else:
        serve(lambda: _exported(path, use), options, default, ready)


def _exported(path: Path, use: str | None) -> Model:
    """Export a run to a temporary folder, and load it."""
    from seriatim import run as runs
    from seriatim.runtime.loading import load

    with tempfile.TemporaryDirectory() as folder:
        runs.load(path).export(Path(folder) / "exported", use=use)
        return load(Path(folder) / "exported")
