"""The command line: one file per verb, each turning its arguments into one call of ``seriatim.run``."""

from __future__ import annotations


def main() -> int:
    """Run the command line on ``sys.argv``; returns the exit code.

    Typer is imported here, not above, so that importing this room costs nothing.
    """
    import sys

    from seriatim.cli.app import run

    return run(sys.argv[1:])
