"""An environment of its own for a client: made by ``venv``, filled by ``pip``."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = "shared_site.pth"


def environment(folder: Path, packages: Sequence[str], site: Path | None, options: Sequence[str] = ()) -> Path:
    """Make an environment with ``packages``, if ``folder`` is not one that has them, and return its Python.

    With ``site``, a folder of installed packages, the environment also sees those. pip then installs only what is not
    there, and keeps its PyTorch. Without, the environment gets Seriatim with the extra ``train``.

    Raises ``RuntimeError`` with pip's last lines if it fails.
    """
    python = folder / "bin" / "python"
    complete = folder / "complete"
    contents = " ".join([*packages, *options])
    if complete.exists() and complete.read_text(encoding="utf-8") == contents:
        return python
    if not python.exists():
        venv.create(folder, with_pip=False, symlinks=True)
    constraints = folder / "constraints.txt"
    constraints.write_text("", encoding="utf-8")
    if site is None:
        packages = [f"{ROOT}[train]", *packages]
    else:
        (own_site,) = folder.glob("lib/python*/site-packages")
        (own_site / SHARED).write_text(f"{site.resolve()}\n", encoding="utf-8")
        version = next(part.version for part in distributions(path=[str(site)]) if part.name == "torch")
        constraints.write_text(f"torch=={version}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]
    done = subprocess.run([*pip, "-c", str(constraints), *options, *packages], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(_last_lines(done.stderr))
    complete.write_text(contents, encoding="utf-8")
    return python


def _last_lines(text: str) -> str:
    lines = [line for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines() if line.startswith("ERROR")]
    return " ".join(lines[-3:]) or text[-300:]
