"""The run of a fitted estimator, which is pickled and copied as the bytes of its files."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, final

from seriatim.run import Run, load


@final
class StoredRun:
    """A run that an estimator holds, and its folder if that is temporary. Such a folder lasts as long as this object.

    A pickle of it holds the files of the run, so an estimator can go to another process or machine.
    """

    def __init__(self, run: Run, temporary: Path | None = None) -> None:
        self.run = run
        if temporary is not None:
            weakref.finalize(self, _remove, temporary, os.getpid())

    def __getstate__(self) -> dict[str, bytes]:
        files = (file for file in sorted(self.run.path.rglob("*")) if file.is_file())
        return {file.relative_to(self.run.path).as_posix(): file.read_bytes() for file in files}

    def __setstate__(self, files: dict[str, Any]) -> None:
        temporary = Path(tempfile.mkdtemp(prefix="seriatim-"))
        weakref.finalize(self, _remove, temporary, os.getpid())
        folder = (temporary / "run").resolve()
        for name, content in files.items():
            target = (folder / name).resolve()
            if folder not in target.parents:
                raise ValueError(f"the pickle of an estimator has a file outside of its folder: {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self.run = load(folder)


def _remove(folder: Path, process: int) -> None:
    """Remove a temporary folder, but not at the end of a process that was forked from the one that made it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
