"""Ray: the cluster that is connected or that ``RAY_ADDRESS`` names, else a new one on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import ray
from ray.exceptions import RayError, RayTaskError

from seriatim.errors import RunError
from seriatim.scoring.partition import Job, Partition, score_partition

RETRIES = 3
"""How often Ray runs the task of a worker that died again."""


def run(job: Job, partitions: Sequence[Partition], workers: int | None) -> Iterator[Partition]:
    """Score ``partitions`` as tasks of Ray, each with one processor. Yields each when it is finished.

    Ray repeats the tasks of a worker that dies. ``workers`` is the number of processors of a new cluster. Raises
    ``RunError`` if a task's workers die repeatedly.
    """
    is_new = not ray.is_initialized()
    if is_new:
        processors = None if os.environ.get("RAY_ADDRESS") else workers
        ray.init(num_cpus=processors, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(score_partition)
        running = [task.remote(job, partition) for partition in partitions]
        while running:
            done, running = ray.wait(running)
            yield from ray.get(done)
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(f"Ray gave up: {reason}. Finished parts are kept: the same command goes on") from None
    finally:
        if is_new:
            ray.shutdown()
