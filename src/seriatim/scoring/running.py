"""``score``: predictions for a large file, as a folder of parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from seriatim.data.files import check_file
from seriatim.errors import MissingExtra, RunError, UsageError, nearest
from seriatim.scoring.partition import Job, Partition
from seriatim.scoring.plan import hash_of_file, keep_plan, partitions_of
from seriatim.scoring.scorer import open_scorer
from seriatim.storage import is_part

Engine = Callable[[Job, Sequence[Partition], "int | None"], Iterator[Partition]]

ENGINES: Final = {"local": "", "ray": "ray", "dask": "dask", "spark": "spark"}
"""The engines, and the extra that each needs."""
PART_FORMATS: Final = ("parquet", "csv", "tsv", "jsonl")
PART_ROWS: Final = 50_000


@dataclass(frozen=True)
class Summary:
    """The result of ``score``."""

    out: Path
    parts: int
    skipped: int
    """Parts that were there before."""
    rows: int
    """Rows of the input."""
    seconds: float


def score(
    model: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    part_rows: int = PART_ROWS,
    part_format: str = "parquet",
    use: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Predict for each sequence of a Parquet file, and write the predictions to the folder ``out`` in parts.

    ``model`` is a run folder, or a runtime folder, which is used without PyTorch. ``engine`` is ``local`` (processes of
    this machine), ``ray``, ``dask`` or ``spark``. These use the cluster, the client of Dask's distributed scheduler or
    the session that is connected, and else start processes on this machine. ``workers`` is the number of processes, by
    default one for each processor; a cluster that is connected has its own. All engines write the same bytes.

    Each part is for about ``part_rows`` rows, and its name says which. Rows of the same id are in the same part, and
    must be together in the file. A part that is there is not computed again, so the same call continues after a
    failure. ``use`` is as in ``Run.predict``. ``progress`` is called with the numbers of finished parts and of all.

    Raises ``UsageError`` for a model without tables, an unknown engine or a folder with other content, ``DataError``
    for a file that is not Parquet or that the model cannot read, and ``RunError`` if workers die repeatedly.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine: got '{engine}', wanted one of {', '.join(ENGINES)}{nearest(engine, ENGINES)}")
    if workers is not None and workers < 1:
        raise UsageError(f"workers: got {workers}, wanted at least 1")
    begin = time.monotonic()
    run = _engine(engine)
    job, partitions = prepare(model, data, out, part_rows=part_rows, part_format=part_format, use=use)
    missing = [partition for partition in partitions if not partition.path(job).exists()]
    skipped = len(partitions) - len(missing)
    for done, _ in enumerate(run(job, missing, workers), skipped + 1):
        if progress is not None:
            progress(done, len(partitions))
    _check_complete(job, partitions)
    return Summary(Path(out), len(partitions), skipped, partitions[-1].end, time.monotonic() - begin)


def prepare(
    model: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    part_rows: int = PART_ROWS,
    part_format: str = "parquet",
    use: str | None = None,
) -> tuple[Job, list[Partition]]:
    """Return the job and all its partitions for ``score_partition``, which any other scheduler may call.

    The arguments, the files and the errors are those of ``score``.
    """
    if part_rows < 1:
        raise UsageError(f"part_rows: got {part_rows}, wanted at least 1")
    if part_format not in PART_FORMATS:
        raise UsageError(f"part_format: got '{part_format}', wanted one of {', '.join(PART_FORMATS)}")
    file, folder = check_file(data).absolute(), Path(out).absolute()
    if file.suffix.lower() != ".parquet":
        raise UsageError(f"data: {data}: wanted a .parquet file, because its rows are read in parts")
    scorer = open_scorer(model, use)
    partitions = partitions_of(file, scorer, part_rows)
    plan = {
        "format": 1, "model": scorer.hash, "use": use, "data": hash_of_file(file), "part_rows": part_rows,
        "part_format": part_format,
    }  # fmt: skip
    keep_plan(folder, plan)
    job = Job(
        model=str(Path(model).absolute()),
        model_hash=scorer.hash,
        use=use,
        data=str(file),
        data_bytes=file.stat().st_size,
        out=str(folder),
        part_format=part_format,
    )
    return job, partitions


def _engine(name: str) -> Engine:
    try:
        engine: Engine = import_module(f"seriatim.scoring.{name}_engine").run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "seriatim":
            raise
        raise MissingExtra(f"engine '{name}'", ENGINES[name]) from error
    return engine


def _check_complete(job: Job, partitions: Sequence[Partition]) -> None:
    """Check that all parts are there, and remove what killed workers left."""
    absent = [file for partition in partitions if not (file := partition.path(job)).exists()]
    if absent:
        raise RunError(f"{absent[0]}: not there after the work; do all workers see the folder?")
    for file in Path(job.out).iterdir():
        if is_part(file):
            with suppress(OSError):
                file.unlink()
