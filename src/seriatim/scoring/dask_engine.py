"""Dask: its distributed scheduler if a client is connected, else its processes on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from dask.base import compute, get_scheduler
from dask.delayed import delayed

from seriatim.errors import RunError
from seriatim.scoring.one_thread import use_one_thread
from seriatim.scoring.partition import Job, Partition, score_partition


def run(job: Job, partitions: Sequence[Partition], workers: int | None) -> Iterator[Partition]:
    """Score ``partitions`` as tasks of Dask, and yield them when all are finished.

    Dask's distributed scheduler repeats the tasks of a worker that dies; ``workers`` is for its processes on this
    machine, which do not. Raises ``RunError`` when one of these dies.
    """
    tasks = [delayed(score_partition, pure=False)(job, partition) for partition in partitions]
    client = get_scheduler()  # type: ignore[no-untyped-call]
    try:
        if client is not None:
            yield from compute(*tasks, scheduler=client)  # type: ignore[no-untyped-call]
        else:
            local = {"scheduler": "processes", "num_workers": workers, "initializer": use_one_thread}
            yield from compute(*tasks, **local)  # type: ignore[no-untyped-call]
    except BrokenProcessPool:
        raise RunError(
            "a worker of Dask died (out of memory?). Finished parts are kept: the same command goes on"
        ) from None
