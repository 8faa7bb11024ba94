"""Imports between rooms follow the table, and no two files import each other, directly or through other files.

An import inside a function counts. So does one under ``if TYPE_CHECKING``: a file that needs the types of another file
cannot be understood or changed without it, although Python would not notice the circle.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import seriatim

ROOT = Path(seriatim.__file__).parent

EVERYWHERE = {"addresses", "controls", "errors", "notation", "options", "percent", "spec", "storage", "version"}
"""Files that every room may import."""

MAY_IMPORT: dict[str, set[str]] = {
    "kernels": set(),
    "encoding": set(),
    "decoding": set(),
    "ops": {"kernels"},
    "layouts": {"kernels"},
    "nn": {"ops", "layouts"},
    "naive": set(),
    "models": {"nn", "decoding", "naive"},
    "learning": {"models"},
    "data": {"encoding"},
    "tasks": {"data", "models", "naive", "learning", "encoding", "decoding"},
    "online": {"models", "naive", "learning", "encoding"},
    "insight": {"models", "nn"},
    "runtime": {"kernels", "layouts", "encoding", "decoding", "naive"},
    "export": {"models", "naive", "nn", "kernels", "layouts", "runtime"},
    "serve": {"decoding", "runtime"},
    "bench": {"nn", "ops", "kernels"},
    "scoring": {"runtime", "run", "data"},
    "estimators": {"run"},
    "tune": {"run"},
}
"""Folders, in the order of the design. Each may also import itself."""

FILES: dict[str, set[str]] = {
    "addresses": set(),
    "controls": set(),
    "errors": {"controls"},
    "notation": set(),
    "options": {"errors"},
    "percent": set(),
    "spec": {"errors", "notation"},
    "storage": {"errors"},
    "version": set(),
    "__init__": {"errors", "estimators", "nn", "online", "run", "runtime", "scoring", "tune", "version"},
    "__main__": {"cli"},
}
"""Files outside all folders. ``seriatim`` is the package itself."""

TABLE = {room: allowed | EVERYWHERE | {room} for room, allowed in MAY_IMPORT.items()} | FILES
TABLE["run"] = {*MAY_IMPORT, *EVERYWHERE, "run"} - {"bench", "estimators", "scoring", "serve", "tune"}
TABLE["cli"] = {*MAY_IMPORT, *EVERYWHERE, "run", "cli"}

WITHOUT_TORCH = ("kernels", "layouts", "encoding", "decoding", "naive", "runtime", "serve", "data", "cli", *EVERYWHERE)


NAIVE = ("models", "naive")


def room_of(file: Path) -> str:
    """The room of ``file`` (relative to the package). The naive models are a room in a room: they need no PyTorch."""
    if file.parts[:2] == NAIVE and len(file.parts) > 2:
        return "naive"
    return file.parts[0] if len(file.parts) > 1 else file.stem


def imports_of(file: Path, source: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Line, module and imported names of each import statement in the file, with relative imports made absolute."""
    package = ("seriatim", *file.parts[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*parents, *([node.module] if node.module else [])))
            yield node.lineno, base, tuple(alias.name for alias in node.names)


def imported(file: Path, source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import in the file."""
    for line, base, names in imports_of(file, source):
        # "from seriatim import nn" imports a room, "from seriatim.nn import LSTM" a name in it.
        if base == "seriatim" and names:
            yield from ((line, f"{base}.{name}") for name in names)
        else:
            yield line, base


def forbidden_imports(file: Path, source: str) -> list[str]:
    """One line for each import of the file that the table forbids."""
    room = room_of(file)
    wrong = []
    for line, name in imported(file, source):
        parts = name.split(".")
        if parts[0] == "torch" and room in WITHOUT_TORCH:
            wrong.append(f"{file}:{line}: {room} imports torch")
        if parts[0] == "seriatim":
            other = parts[1] if len(parts) > 1 and parts[1] in TABLE else "seriatim"
            other = "naive" if tuple(parts[1:3]) == NAIVE else other
            if other not in TABLE[room]:
                wrong.append(f"{file}:{line}: {room} imports {name}")
    return wrong


def module_name(file: Path) -> str:
    """The dotted name of ``file`` (relative to the package)."""
    parts = ("seriatim", *file.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(sources: Mapping[Path, str]) -> set[tuple[str, ...]]:
    """Each group of files that import one another, directly or through others of the group, sorted by name."""
    files = {module_name(file): file for file in sources}
    graph: dict[Path, set[Path]] = {file: set() for file in sources}
    for file, source in sources.items():
        for _, base, names in imports_of(file, source):
            modules = [f"{base}.{name}" if f"{base}.{name}" in files else base for name in names] or [base]
            graph[file] |= {files[module] for module in modules if module in files} - {file}
    reachable = {file: _reachable(graph, file) for file in graph}
    groups = {
        tuple(sorted(str(other) for other in reached if file in reachable[other]))
        for file, reached in reachable.items()
    }
    return {group for group in groups if group}


def _reachable(graph: Mapping[Path, set[Path]], start: Path) -> set[Path]:
    """The files that ``start`` imports, directly or through others."""
    reached: set[Path] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached


SOURCES = {file.relative_to(ROOT): file.read_text(encoding="utf-8") for file in sorted(ROOT.rglob("*.py"))}


def test_table_names_every_room():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == {*MAY_IMPORT, "run", "cli"} - {"naive"}
    assert {file.stem for file in SOURCES if len(file.parts) == 1} == set(FILES)


@pytest.mark.parametrize("room", sorted(TABLE))
def test_imports_go_down(room):
    wrong = []
    for file, source in SOURCES.items():
        if room_of(file) == room:
            wrong += forbidden_imports(file, source)
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
def test_import_check_can_fail(file, source, caught):
    assert bool(forbidden_imports(Path(file), source)) is caught


def test_no_files_import_each_other():
    assert circles(SOURCES) == set()


@pytest.mark.parametrize(
    ("second", "found"),
    [
        ("from seriatim.models.first import A", True),
        ("from seriatim.models import first", True),
        ("from . import first", True),
        ("def f():\n    from seriatim.models.first import A", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from seriatim.models.first import A", True),
        ("import seriatim.models.first", True),
        ("from seriatim.models.third import A", True),
        ("from seriatim.models.fourth import A", False),
    ],
)
def test_circle_check_can_fail(second, found):
    sources = {
        Path("models/first.py"): "from seriatim.models.second import B",
        Path("models/second.py"): second,
        Path("models/third.py"): "import torch\nfrom seriatim.models.first import A",
        Path("models/fourth.py"): "import torch",
    }
    files = ["models/first.py", "models/second.py", *(["models/third.py"] if "third" in second else [])]
    assert circles(sources) == ({tuple(files)} if found else set())


@pytest.mark.parametrize("room", sorted({*MAY_IMPORT} - {"naive"}))
def test_room_has_docstring_and_imports_nothing_heavy(room):
    tree = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    if room != "nn":
        heavy = {"numpy", "torch", "polars"}
        assert not heavy & {name.split(".")[0] for _, name in imported(Path(room, "__init__.py"), ast.unparse(tree))}


def test_rooms_without_torch_load_no_torch():
    code = """
import importlib, pkgutil, sys
for room in ("seriatim.encoding", "seriatim.decoding", "seriatim.kernels", "seriatim.models.naive", "seriatim.runtime"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(module.name)
sys.exit("torch was loaded" if "torch" in sys.modules else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr
