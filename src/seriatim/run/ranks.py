"""``train`` on several processes: the ranks agree on options, data and threads, and only rank 0 writes the folder.

All ranks read the data and make the batches. The run folder is on a disk that all of them see.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seriatim.errors import DataError, UsageError
from seriatim.learning.team import Team, threads_per_process, was_restarted
from seriatim.run.folder import open_folder
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.task import PreparedData, Task


def options_of_ranks(team: Team, explicit: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a training by ``team``. After a restart by ``torchrun``, ``resume`` is implied.

    Raises ``UsageError`` without ``out``: a training that is started again must find its run folder.
    """
    if team.size == 1:
        return explicit
    if "out" not in explicit:
        raise UsageError(f"out: wanted a run folder, because {team.size} processes train together and may be restarted")
    return {**explicit, "resume": True} if was_restarted() else explicit


def with_threads_of_rank(team: Team, options: TrainOptions) -> TrainOptions:
    """Return the options with this process's share of the processors, unless ``threads`` is set."""
    if team.size == 1 or options.threads:
        return options
    return dataclasses.replace(options, threads=threads_per_process())


@contextmanager
def folder_of_ranks(team: Team, task: Task[Any, Any, Any], options: TrainOptions) -> Iterator[Path]:
    """Open the run folder as ``open_folder`` does. Only rank 0 checks and locks it."""
    if team.leads:
        with open_folder(task, options) as folder:
            yield folder
    else:
        assert options.out is not None
        yield Path(options.out)


def check_data_of_ranks(team: Team, data: PreparedData[Any, Any]) -> None:
    """Raise ``DataError`` on a rank that has read other data than rank 0."""
    hash_of_leader = team.decide(lambda: data.hash)
    if hash_of_leader != data.hash:
        raise DataError(f"data: rank {team.rank} has read other data than rank 0 ({data.hash}, not {hash_of_leader})")
