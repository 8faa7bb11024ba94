"""Predictions for files of millions of rows: one function over a partition, which several engines call.

    summary = seriatim.scoring.score("runs/classify-lstm-1", "many.parquet", "predictions", engine="local")
    summary.parts, summary.rows

Each partition becomes one file of the output folder. A file that is there is not computed again.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seriatim.scoring.partition import Job as Job
    from seriatim.scoring.partition import Partition as Partition
    from seriatim.scoring.partition import score_partition as score_partition
    from seriatim.scoring.running import Summary as Summary
    from seriatim.scoring.running import prepare as prepare
    from seriatim.scoring.running import score as score

__all__ = ["Job", "Partition", "Summary", "prepare", "score", "score_partition"]

_MODULES = {
    "Job": "seriatim.scoring.partition",
    "Partition": "seriatim.scoring.partition",
    "Summary": "seriatim.scoring.running",
    "prepare": "seriatim.scoring.running",
    "score": "seriatim.scoring.running",
    "score_partition": "seriatim.scoring.partition",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'seriatim.scoring' has no attribute '{name}'")
    value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
