"""Run a script of benchmarks/ or recipes/ in this process, as ``python FOLDER/NAME.py ARGUMENTS`` does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def load_script(patch: pytest.MonkeyPatch, folder: str, name: str) -> ModuleType:
    """Import ``FOLDER/NAME.py`` as a new module; its siblings can be imported while ``patch`` lasts."""
    file = ROOT / folder / f"{name}.py"
    patch.syspath_prepend(str(file.parent))
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def run_main(patch: pytest.MonkeyPatch, module: ModuleType, *arguments: str | Path) -> object:
    """Call the ``main`` of a loaded script with arguments of a command line."""
    patch.setattr(sys, "argv", [str(module.__file__), *map(str, arguments)])
    return module.main()
