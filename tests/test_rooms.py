"""Imports go down only: the table of rooms, and who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import seriatim

ROOT = Path(seriatim.__file__).parent

EVERYWHERE = {"errors", "notation", "options", "spec", "storage", "version"}
"""Files that every room may import."""

MAY_IMPORT: dict[str, set[str]] = {
    "kernels": set(),
    "encoding": set(),
    "decoding": set(),
    "ops": {"kernels"},
    "nn": {"ops"},
    "models": {"nn", "decoding"},
    "learning": {"models"},
    "data": {"encoding"},
    "tasks": {"data", "models", "learning", "encoding", "decoding"},
    "online": {"models", "learning", "encoding"},
    "insight": {"models", "nn"},
    "bench": {"nn", "ops", "kernels"},
}
"""Folders, in the order of the design; each may also import itself."""

FILES: dict[str, set[str]] = {
    "errors": set(),
    "notation": set(),
    "options": {"errors"},
    "spec": {"errors", "notation"},
    "storage": {"errors"},
    "version": set(),
    "__init__": {"errors", "nn", "online", "run", "version"},
    "__main__": {"cli"},
}
"""Files that stand in no folder. ``seriatim`` is the package itself: its version."""

TABLE = {room: allowed | EVERYWHERE | {room} for room, allowed in MAY_IMPORT.items()} | FILES
TABLE["run"] = {*MAY_IMPORT, *EVERYWHERE, "run"}
TABLE["cli"] = {*MAY_IMPORT, *EVERYWHERE, "run", "cli"}

WITHOUT_TORCH = ("kernels", "encoding", "decoding", "data", "cli", *EVERYWHERE)


def room_of(file: Path) -> str:
    """The room that ``file`` (relative to the package) stands in."""
    return file.parts[0] if len(file.parts) > 1 else file.stem


def imported(file: Path, source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that the file imports, wherever in it, relative imports made absolute."""
    package = ("seriatim", *file.parts[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            # "from seriatim import nn" imports a room, "from seriatim.nn import LSTM" a name in it.
            names = (f"{base}.{alias.name}" for alias in node.names) if base == "seriatim" else (base,)
            yield from ((node.lineno, name) for name in names)


def broken(file: Path, source: str) -> list[str]:
    """Every import of the file that the table forbids, a line each."""
    room = room_of(file)
    wrong = []
    for line, name in imported(file, source):
        parts = name.split(".")
        if parts[0] == "torch" and room in WITHOUT_TORCH:
            wrong.append(f"{file}:{line}: {room} imports torch")
        if parts[0] == "seriatim":
            other = parts[1] if len(parts) > 1 and parts[1] in TABLE else "seriatim"
            if other not in TABLE[room]:
                wrong.append(f"{file}:{line}: {room} imports {name}")
    return wrong


FILES_THERE = sorted(file.relative_to(ROOT) for file in ROOT.rglob("*.py"))


def test_the_rooms_are_those_of_the_table():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == {*MAY_IMPORT, "run", "cli"}
    assert {file.stem for file in FILES_THERE if len(file.parts) == 1} == set(FILES)


@pytest.mark.parametrize("room", sorted(TABLE))
def test_imports_go_down(room):
    wrong = []
    for file in FILES_THERE:
        if room_of(file) == room:
            wrong += broken(file, (ROOT / file).read_text(encoding="utf-8"))
    assert wrong == []


@pytest.mark.parametrize(
    ("file", "source", "caught"),
    [
        ("models/lstm.py", "from seriatim.learning.loop import fit", True),
        ("models/lstm.py", "from seriatim.nn import LSTM", False),
        ("models/lstm.py", "from seriatim.errors import DataError", False),
        ("models/lstm.py", "def f():\n    import seriatim.tasks.language", True),
        ("models/lstm.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from seriatim import tasks", True),
        ("models/lstm.py", "from ..learning import loop", True),
        ("models/lstm.py", "from . import options", False),
        ("models/lstm.py", "from .. import learning", True),
        ("models/deep/lstm.py", "from ...run import load", True),
        ("models/lstm.py", "from seriatim import load", True),
        ("decoding/load.py", "import torch.nn", True),
        ("decoding/load.py", "import numpy", False),
        ("spec.py", "from seriatim.options import option", True),
        ("run/training.py", "from seriatim.cli.output import say", True),
        ("run/training.py", "from seriatim import __version__", True),
        ("cli/train.py", "from seriatim import run", False),
    ],
)
def test_the_check_can_fail(file, source, caught):
    assert bool(broken(Path(file), source)) is caught


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_says_its_job_and_imports_nothing_heavy(room):
    tree = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    if room != "nn":
        heavy = {"numpy", "torch", "polars"}
        assert not heavy & {name.split(".")[0] for _, name in imported(Path(room, "__init__.py"), ast.unparse(tree))}


def test_rooms_without_torch_load_no_torch():
    code = """
import importlib, pkgutil, sys
for room in ("seriatim.encoding", "seriatim.decoding", "seriatim.kernels"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(module.name)
sys.exit("torch was loaded" if "torch" in sys.modules else 0)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
