"""Ray: the cluster that is connected or that ``RAY_ADDRESS`` names, else a new one on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ray

from seriatim.scoring.partition import Job, Partition, score_partition


def run(job: Job, partitions: Sequence[Partition], workers: int | None) -> Iterator[Partition]:
    """Score ``partitions`` as tasks of Ray, each with one processor. Yields each when it is finished.

    Ray repeats the tasks of a worker that dies. ``workers`` is the number of processors of a new cluster.
    """
    is_new = not ray.is_initialized()
    if is_new:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        task = ray.remote(num_cpus=1, max_retries=3)(score_partition)
        running = [task.remote(job, partition) for partition in partitions]
        while running:
            done, running = ray.wait(running)
            yield from ray.get(done)
    finally:
        if is_new:
            ray.shutdown()
