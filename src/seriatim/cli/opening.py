"""Opens the folder that a verb is given: a run folder, or a runtime folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seriatim.run import Run
    from seriatim.runtime import Model


def open_model(path: Path) -> Run | Model:
    """Return the run or the exported model in the folder at ``path``. Only a run needs PyTorch."""
    from seriatim.runtime.loading import is_runtime_folder, load

    if is_runtime_folder(path):
        return load(path)
    from seriatim import run as runs

    return runs.load(path)
