"""The whole command line. Here, and nowhere else, a failure becomes an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from seriatim.cli import (
    bench,
    compare,
    data,
    evaluate,
    export,
    generate,
    info,
    inspect,
    predict,
    serve,
    train,
    tune,
    update,
)
from seriatim.cli.failures import INTERRUPTED, report
from seriatim.cli.output import Json, is_terminal
from seriatim.errors import UsageError, nearest
from seriatim.tasks.registry import NAMES, ROWS

VERBS: tuple[tuple[Callable[..., None], str], ...] = (
    (evaluate.evaluate, evaluate.EXAMPLE),
    (predict.predict, predict.EXAMPLE),
    (generate.generate, generate.EXAMPLE),
    (inspect.inspect, inspect.EXAMPLE),
    (update.command(), update.EXAMPLE),
    (compare.compare, compare.EXAMPLE),
    (export.export, export.EXAMPLE),
    (serve.command(), serve.EXAMPLE),
    (bench.bench, bench.EXAMPLE),
    (data.data, data.EXAMPLE),
    (info.info, info.EXAMPLE),
)
"""The verbs except ``train``, each with the example at the end of its help."""

HELP = "Train recurrent models on your own sequences, compare them with naive models, and use them."


class Commands(TyperGroup):
    """A group of commands that answers a mistyped name with the nearest known one."""

    noun = "command"

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command ``cmd_name``. Raises ``UsageError`` if there is none."""
        if cmd_name not in self.commands and not cmd_name.startswith("-") and not ctx.resilient_parsing:
            raise UsageError(f"no {self.noun} '{cmd_name}'{nearest(cmd_name, self.commands)}")
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of the help: first those that need no run, ``train`` and ``tune``."""
        return sorted(self.commands, key=lambda name: name not in ("train", "tune"))


class Tasks(Commands):
    """The group of the tasks of ``train``."""

    noun = "task"


def run(arguments: list[str]) -> int:
    """Run one command, and return the exit code. Without ``--debug``, a failure is reported in one line."""
    debug = os.environ.get("SERIATIM_DEBUG", "") not in ("", "0")
    if "--debug" in arguments:  # at any position
        debug = True
        arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = build(arguments).main(arguments or ["--help"], prog_name="seriatim", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _end_quietly()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        return report(error, debug)
    if code == INTERRUPTED:
        sys.stderr.write("seriatim: interrupted\n")
    return code or 0


def build(arguments: Sequence[str] = ()) -> Any:
    """Build the command line as a Typer command.

    The options of all tasks take time to build, so ``train`` and ``tune`` get theirs if ``arguments`` has these words,
    or if there are no arguments, as for the completion of a shell.
    """
    # Without a terminal, the help is plain text, and Rich is not imported.
    markup: Any = "rich" if is_terminal(sys.stdout) else None
    settings = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(
        cls=Commands,
        help=HELP,
        epilog=_example(ROWS[0].example),
        rich_markup_mode=markup,
        context_settings=settings,
    )
    tasks = typer.Typer(cls=Tasks, rich_markup_mode=markup, context_settings=settings)
    app.callback()(_global)
    tasks.callback(invoke_without_command=True)(_require_task)
    app.add_typer(tasks, name="train", epilog=_example(ROWS[0].example))
    for task in ROWS if _is_needed("train", arguments) else ():
        tasks.command(task.name, epilog=_example(task.example))(train.command(task))
    searches = typer.Typer(cls=Tasks, rich_markup_mode=markup, context_settings=settings)
    searches.callback(invoke_without_command=True)(_require_task_to_tune)
    app.add_typer(searches, name="tune", epilog=_example(tune.EXAMPLE))
    for task in ROWS if _is_needed("tune", arguments) else ():
        searches.command(task.name, epilog=_example(tune.EXAMPLE))(tune.command(task))
    for verb, example in VERBS:
        app.command(epilog=_example(example))(verb)
    return typer.main.get_command(app)


def _is_needed(verb: str, arguments: Sequence[str]) -> bool:
    """Whether the options of ``verb`` are needed for a command with ``arguments``."""
    return not arguments or verb in arguments


def _example(command: str) -> str:
    return f"Example: {command}"


def _show_version(is_requested: bool) -> None:
    if is_requested:
        from seriatim.version import __version__

        typer.echo(f"seriatim {__version__}")
        raise typer.Exit


def _global(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="show the version")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="show the traceback of a failure (or SERIATIM_DEBUG=1)")
    ] = False,
) -> None:
    """Options of the whole program. ``run`` removes ``--debug``, because it may be at any position."""


def _require_task(
    context: typer.Context,
    config: train.Config = None,
    out: Annotated[str | None, typer.Option(help="with --config: the new run folder", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Train a model for a task. The --help of each task ends with an example."""
    if context.invoked_subcommand is not None:
        if config is not None or out is not None or json:
            raise UsageError(f"train: give the options after the task: seriatim train {context.invoked_subcommand} …")
    elif config is None:
        raise UsageError(f"train: wanted a task: {', '.join(NAMES)}")
    else:
        train.train_again(config, out, json)


def _require_task_to_tune(context: typer.Context) -> None:
    """Search for the best options of a task, with Optuna. Trials that are cut short and killed ones are handled."""
    if context.invoked_subcommand is None:
        raise UsageError(f"tune: wanted a task: {', '.join(NAMES)}")


def _end_quietly() -> int:
    """End without a message, because standard output was closed. Python's own flush at exit must not fail either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
