"""The verbs put together, and the one place where a command's failure becomes an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from seriatim.cli import bench, compare, data, evaluate, generate, info, inspect, predict, train, update
from seriatim.cli.failures import INTERRUPTED, report
from seriatim.cli.output import drawn
from seriatim.errors import UsageError, nearest

VERBS: tuple[tuple[Callable[..., None], str], ...] = (
    (evaluate.evaluate, evaluate.EXAMPLE),
    (predict.predict, predict.EXAMPLE),
    (generate.generate, generate.EXAMPLE),
    (inspect.inspect, inspect.EXAMPLE),
    (update.command(), update.EXAMPLE),
    (compare.compare, compare.EXAMPLE),
    (bench.bench, bench.EXAMPLE),
    (data.data, data.EXAMPLE),
    (info.info, info.EXAMPLE),
)
"""Every verb but ``train``, and the example at the end of its help."""

HELP = "Train recurrent models on your own sequences, see whether they beat naive ones, and use them."


class Verbs(TyperGroup):
    """A group that answers a mistyped word with the nearest right one."""

    noun = "command"

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command called ``cmd_name``; raises ``UsageError`` where there is none."""
        if cmd_name not in self.commands and not cmd_name.startswith("-") and not ctx.resilient_parsing:
            raise UsageError(f"no {self.noun} '{cmd_name}'{nearest(cmd_name, self.commands)}")
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands as help lists them: ``train`` first, since everything else needs a run."""
        return sorted(self.commands, key=lambda name: name != "train")


class Tasks(Verbs):
    """The same for the tasks of ``train``."""

    noun = "task"


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code. Failures are one line, without ``--debug``."""
    debug = os.environ.get("SERIATIM_DEBUG", "") not in ("", "0")
    if "--debug" in arguments:  # wherever it stands
        debug = True
        arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = build().main(arguments or ["--help"], prog_name="seriatim", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _closed()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        return report(error, debug)
    if code == INTERRUPTED:
        sys.stderr.write("seriatim: interrupted\n")
    return code or 0


def build() -> Any:
    """The whole command line as a Typer command."""
    # Without a terminal help is plain text, and Rich is not even imported.
    markup: Any = "rich" if drawn(sys.stdout) else None
    settings = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(
        cls=Verbs,
        help=HELP,
        epilog=_example(train.TASKS[0].example),
        rich_markup_mode=markup,
        context_settings=settings,
    )
    tasks = typer.Typer(cls=Tasks, rich_markup_mode=markup, context_settings=settings)
    app.callback()(_global)
    tasks.callback(invoke_without_command=True)(_task_wanted)
    app.add_typer(tasks, name="train", epilog=_example(train.TASKS[0].example))
    for task in train.TASKS:
        tasks.command(task.name, epilog=_example(task.example))(train.command(task))
    for verb, example in VERBS:
        app.command(epilog=_example(example))(verb)
    return typer.main.get_command(app)


def _example(command: str) -> str:
    return f"Example: {command}"


def _show_version(wanted: bool) -> None:
    if wanted:
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
    """Options of the whole program; ``--debug`` is taken out by ``run``, since it may stand anywhere."""


def _task_wanted(context: typer.Context) -> None:
    """Train a model for a task; the example of each is in its own --help."""
    if context.invoked_subcommand is None:
        raise UsageError(f"train: wanted a task: {', '.join(task.name for task in train.TASKS)}")


def _closed() -> int:
    """The reader of our output has gone: end quietly, and keep Python's own flush at exit quiet too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
