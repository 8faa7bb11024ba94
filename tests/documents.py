"""Run the code of a documentation page: its Python blocks and its shell lines, in order, in an empty folder.

A comment before a block says how a test runs it:

    <!-- test: train with epochs=1 -->       every training in the block gets these options
    <!-- test: needs onnx -->                the page's test is skipped where this module is missing
    <!-- test: skip: REASON -->              the block is not run
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import seriatim
from seriatim.cli.app import run as run_command
from seriatim.spec import REGISTERED

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"(?:<!-- test: (?P<directive>.*?) -->\n)?^```(?P<language>.*)\n(?P<text>(?:.*\n)*?)```$", re.M)
TRAIN_WITH = "train with "
SKIP = "skip: "
NEEDS = "needs "


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    directive: str

    @property
    def is_skipped(self) -> bool:
        return self.directive.startswith(SKIP)

    @property
    def training_options(self) -> dict[str, str]:
        """Options that every training in the block gets."""
        if not self.directive.startswith(TRAIN_WITH):
            return {}
        return dict(word.split("=") for word in self.directive.removeprefix(TRAIN_WITH).split())

    @property
    def commands(self) -> list[str]:
        """Lines after the prompt of a console block."""
        if self.language != "console":
            return []
        return [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of ``page``, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match["language"], match["text"], text[: match.start()].count("\n") + 1, match["directive"] or "")
        for match in FENCE.finditer(text)
    ]


def run_shell(command: str, options: dict[str, str], folder: Path) -> None:
    """Run one shell line; it must end with exit code 0."""
    if command.startswith("seriatim train "):
        command += "".join(f" --{name.replace('_', '-')} {value}" for name, value in options.items())
    if command.startswith("seriatim ") and "|" not in command:
        code = run_command(shlex.split(command)[1:])
    else:
        programs = folder / ".programs"
        programs.mkdir(exist_ok=True)
        program = programs / "seriatim"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seriatim "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        code = subprocess.run(["bash", "-ec", f"set -o pipefail; {command}"], env=environment, timeout=120).returncode
    assert code == 0, f"'{command}' ended with exit code {code}"


def run_python(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run a Python block; trainings in it get the block's options."""
    train, options = seriatim.train, {name: as_value(text) for name, text in block.training_options.items()}

    def shortened(*arguments: Any, **keywords: Any) -> Any:
        return train(*arguments, **{"quiet": True, **options, **keywords})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seriatim, "train", shortened)
        exec(compile("\n" * block.line + block.text, str(page), "exec"), names)


def as_value(text: str) -> int | str:
    """An option as Python has it: a whole number where it looks like one."""
    return int(text) if text.isdigit() else text


@contextmanager
def running(page: Path, folder: Path, names: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Run the blocks of ``page`` in ``folder`` and stay there; gives the names that its Python code has defined.

    ``names`` are there before the first block.
    """
    start, names = Path.cwd(), dict(names or {})
    os.chdir(folder)
    try:
        for block in blocks_of(page):
            if block.is_skipped:
                continue
            if block.directive.startswith(NEEDS):
                pytest.importorskip(block.directive.removeprefix(NEEDS))
            if block.language == "python":
                run_python(block, page, names)
            for command in block.commands:
                run_shell(command, block.training_options, folder)
        yield names
    finally:
        os.chdir(start)
        REGISTERED.clear()
