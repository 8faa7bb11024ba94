"""The command line: one file for each verb, which turns its arguments into one call of ``seriatim.run``."""

from __future__ import annotations


def main() -> int:
    """Run the command line on ``sys.argv``, and return the exit code.

    Typer is imported here, so that importing this package is quick.
    """
    import sys

    from seriatim.cli.app import run

    return run(sys.argv[1:])
