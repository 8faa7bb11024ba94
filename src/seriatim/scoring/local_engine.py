"""Processes of this machine."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from seriatim.errors import RunError
from seriatim.scoring.one_thread import use_one_thread
from seriatim.scoring.partition import Job, Partition, score_partition

ATTEMPTS = 3
"""Pools that may lose a worker one after another without a finished partition."""


def run(job: Job, partitions: Sequence[Partition], workers: int | None) -> Iterator[Partition]:
    """Score ``partitions`` in ``workers`` processes. Yields each when it is finished.

    When a worker dies (for example because memory ran out), the pool is started again. Raises ``RunError`` when that
    happens several times without progress.
    """
    count = workers or _processors()
    missing, failures = list(partitions), 0
    while missing:
        try:
            for partition in _run_pool(job, list(missing), min(count, len(missing))):
                failures = 0
                missing.remove(partition)
                yield partition
        except BrokenProcessPool:
            failures += 1
            if failures == ATTEMPTS:
                raise RunError(
                    f"workers died {ATTEMPTS} times (out of memory?); fewer workers or rows in a part need less. "
                    "Finished parts are kept: the same command goes on"
                ) from None


def _run_pool(job: Job, partitions: Sequence[Partition], workers: int) -> Iterator[Partition]:
    """Score ``partitions`` in one pool. Only a few of them wait in it, so that its memory does not grow."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=use_one_thread)
    waiting = iter(partitions)
    try:
        running = {pool.submit(score_partition, job, next_) for next_ in itertools.islice(waiting, 2 * workers)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(score_partition, job, next_) for next_ in itertools.islice(waiting, len(done))}
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
