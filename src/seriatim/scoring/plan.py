"""Cuts a Parquet file into partitions, and keeps the plan in the output folder."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, UsageError, nearest
from seriatim.scoring.partition import Partition
from seriatim.scoring.scorer import Scorer
from seriatim.storage import is_part, read_json, write_json

if TYPE_CHECKING:
    import polars

PLAN = "_plan.json"
"""Readers of folders of Parquet files leave out names that begin with an underscore."""
BLOCK = 1 << 20
"""Rows of the id column, or bytes of the file, that are read at once."""


def partitions_of(file: Path, scorer: Scorer, part_rows: int) -> list[Partition]:
    """Cut the file into partitions of ``part_rows`` rows. No sequence is cut: its partition becomes longer.

    Needs 16 bytes of memory for each sequence of a file with an id column, and none for other files. Raises
    ``DataError`` for a file that is not Parquet, has no rows, or has the rows of an id in several places, and
    ``UsageError`` for a missing column.
    """
    import polars

    try:
        frame = polars.scan_parquet(file)
        names = frame.collect_schema().names()
        rows = int(frame.select(polars.len()).collect().item())
    except (polars.exceptions.PolarsError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{file}: not a Parquet file that can be read: {reason}") from None
    for column in scorer.input_columns:
        if column not in names:
            raise UsageError(f"{file}: no column '{column}'{nearest(column, names)}")
    if not rows:
        raise DataError(f"{file}: no rows")
    if scorer.is_single_sequence:
        return [Partition(0, rows, 0)]
    if scorer.id is None:
        return [Partition(start, min(start + part_rows, rows), start) for start in range(0, rows, part_rows)]
    starts = _starts_of_sequences(file, frame, scorer.id, rows)
    cuts = [0]
    while cuts[-1] < len(starts):
        cuts.append(int(np.searchsorted(starts, starts[cuts[-1]] + part_rows)))
    edges = [*starts[cuts[:-1]].tolist(), rows]
    offsets = edges if scorer.predicts_steps else cuts
    return [
        Partition(start, end, offset) for (start, end), offset in zip(itertools.pairwise(edges), offsets, strict=False)
    ]


def _starts_of_sequences(file: Path, frame: polars.LazyFrame, id: str, rows: int) -> NDArray[np.int64]:
    """Return the first row of each sequence. Raises ``DataError`` if the rows of one are not together."""
    blocks = list(_blocks_of_starts(frame, id, rows))
    starts = np.concatenate([block for block, _ in blocks])
    hashes = np.concatenate([block for _, block in blocks])
    order = np.argsort(hashes, kind="stable")
    repeated = order[1:][hashes[order[1:]] == hashes[order[:-1]]]
    if len(repeated):
        row = int(starts[repeated.min()])
        value = frame.select(id).slice(row, 1).collect().item()
        raise DataError(f"{file}: row {row + 1}, column '{id}': '{value}' came before; sort the file by this column")
    return starts


def _blocks_of_starts(frame: polars.LazyFrame, id: str, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield for each block of rows where sequences begin, and the hashes of their ids."""
    import polars

    last = None
    for block in range(0, rows, BLOCK):
        ids = frame.select(id).slice(block, BLOCK).collect()[id]
        begins = ids.ne_missing(ids.shift(1)).to_numpy().copy()
        begins[0] = block == 0 or ids[0] != last
        last = ids[-1]
        at = np.flatnonzero(begins)
        yield at + block, ids.gather(polars.Series(at, dtype=polars.UInt32)).hash().to_numpy()


def hash_of_file(file: Path) -> str:
    """Return ``sha256:`` and the hash of the bytes of the file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def keep_plan(out: Path, plan: dict[str, Any]) -> None:
    """Write the plan into the folder, or compare it with the one that is there.

    Raises ``UsageError`` for a folder with other content, and for one with the predictions of another plan: they would
    be mixed.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"out: '{out}' is a file, wanted a folder")
    if (out / PLAN).exists():
        earlier = read_json(out / PLAN)
        for name, value in plan.items():
            if earlier.get(name) != value:
                raise UsageError(
                    f"out: '{out}' has predictions with {name} {earlier.get(name)!r}, not {value!r}; give another"
                )
    elif out.exists() and any(not is_part(file) for file in out.iterdir()):
        raise UsageError(f"out: '{out}' is not empty and has no {PLAN}; give another folder")
    else:
        write_json(out / PLAN, plan)
