"""Exclusive use of a run folder, so that two trainings never write to the same one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seriatim.errors import RunError


class FolderInUse(RunError):
    """Another training writes to the folder."""


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold a lock on ``folder`` inside a ``with`` block. The folder is created, and removed if it is empty at the end.

    The system releases the lock when the process ends, however it ends, and no lock file is needed. Raises
    ``FolderInUse`` if another training holds the lock. A folder that cannot be created is not
    locked: writing to it will fail. On Windows, which has no such locks, a folder is only created.
    """
    existed = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)
        if not existed:
            remove_if_empty(folder)


@contextmanager
def claim_numbered(parent: Path, stem: str) -> Iterator[Path]:
    """Create and lock the first folder ``STEM-1``, ``STEM-2``, … in ``parent`` that does not exist, and return it."""
    parent_existed = parent.exists()
    number = 1
    while True:
        folder = parent / f"{stem}-{number}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            break
        except FileExistsError:
            number += 1
        except OSError:  # writing to the folder will fail with a clear error
            break
    try:
        with claim(folder):
            yield folder
    finally:
        remove_if_empty(folder)
        if not parent_existed:
            remove_if_empty(parent)


def remove_if_empty(folder: Path) -> None:
    """Remove ``folder`` if it exists and has no content."""
    with suppress(OSError):
        folder.rmdir()


def _lock(folder: Path) -> int | None:
    """Lock ``folder``, and return the file descriptor that holds the lock, or None on Windows."""
    if sys.platform == "win32":
        return None
    import fcntl

    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(folder)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise FolderInUse(f"{folder}: another training is writing to this folder; give another one") from None
        except FileNotFoundError:  # its last user has just removed it
            folder.mkdir(parents=True, exist_ok=True)
        os.close(descriptor)
