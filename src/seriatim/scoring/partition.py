"""The pure function that every engine calls: the rows of a partition → one file of predictions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from seriatim.data.predictions import write_rows
from seriatim.errors import DataError, RunError, SeriatimError
from seriatim.scoring.scorer import Scorer, open_scorer

_LOCK = threading.Lock()
"""Held while a partition is scored: PyTorch's seed and number of threads belong to the process."""


@dataclass(frozen=True)
class Job:
    """Everything that all partitions share. Paths are absolute, on a disk that all workers see."""

    model: str
    model_hash: str
    use: str | None
    data: str
    data_bytes: int
    out: str
    part_format: str


@dataclass(frozen=True)
class Partition:
    """Consecutive rows of the file, from ``start`` (counted from 0) to ``end`` (not included)."""

    start: int
    end: int
    offset: int
    """How many predictions come before those of this partition."""

    def path(self, job: Job) -> Path:
        """The file of the predictions, named by the first and the last row that it is for, counted from 1."""
        return Path(job.out) / f"rows-{self.start + 1:012d}-{self.end:012d}.{job.part_format}"


def score_partition(job: Job, partition: Partition) -> Partition:
    """Write the predictions for the rows of ``partition``, unless their file is there. Returns ``partition``.

    The bytes of the file depend on the arguments alone. The file is complete or not there, also if two workers score
    the same partition at once. Raises ``DataError`` for rows that the model cannot read, and ``RunError`` if the model
    or the file of the rows is not the one of the job.
    """
    file = partition.path(job)
    if not file.exists():
        with _LOCK:
            scorer = _open(job.model, job.model_hash, job.use)
            rows = list(_predict(job, partition, scorer))
            write_rows(rows, scorer.csv_rows, file, is_shared=True)
    return partition


def score_or_error(job: Job, partition: Partition) -> Partition | SeriatimError:
    """Return ``score_partition``'s error instead of raising it, for engines that would run the task again.

    Only tasks whose worker died are worth another attempt.
    """
    try:
        return score_partition(job, partition)
    except SeriatimError as error:
        return error


def _predict(job: Job, partition: Partition, scorer: Scorer) -> Iterator[dict[str, Any]]:
    """Yield the predictions, with the numbers of the rows that ``predict`` gives them for the whole file."""
    import polars

    if Path(job.data).stat().st_size != job.data_bytes:
        raise RunError(f"{job.data}: changed since the work began")
    frame = polars.scan_parquet(job.data)
    frame = frame.select(scorer.input_columns) if scorer.input_columns else frame
    try:
        for row in scorer.predict(frame.slice(partition.start, partition.end - partition.start).collect()):
            yield row | {"row": row["row"] + partition.offset} if "row" in row else row
    except DataError as error:
        place = f"rows {partition.start + 1} to {partition.end}, counted from the first of them"
        raise DataError(f"{job.data}: in {place}: {error}") from None


@lru_cache(maxsize=1)
def _open(model: str, model_hash: str, use: str | None) -> Scorer:
    """Open the model once in each process."""
    scorer = open_scorer(model, use)
    if scorer.hash != model_hash:
        raise RunError(f"{model}: changed since the work began, or is another model on this machine")
    return scorer
