"""Training by Ray Train: the function that the workers of Ray's ``TorchTrainer`` run.

Ray makes the group of ``torch.distributed``. Rank 0 writes the run folder to a temporary folder of its machine. With
each checkpoint it reports the folder to Ray, which copies it to the trainer's storage. After a failure Ray starts all
workers again, and rank 0 continues from the last copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray.train

from seriatim.errors import UsageError
from seriatim.learning.team import find_team
from seriatim.run.inspection.inspect import read_rows
from seriatim.run.training import train_folder
from seriatim.storage import read_json
from seriatim.tasks.registry import find_task


def train_worker(config: Mapping[str, Any]) -> None:
    """Train as ``seriatim.train`` does, on all workers of a ``TorchTrainer`` together.

    ``config`` has ``task``, ``data`` (a path that every worker can read) and options of ``seriatim.train``. The last
    checkpoint that Ray keeps is the finished run folder. The metrics of a report are the last row of ``metrics.jsonl``;
    those of the last report also have the scores on the test part.

    Raises ``UsageError`` for ``out`` and ``resume``, which Ray's storage and its checkpoints decide.
    """
    options = dict(config)
    task, data = find_task(options.pop("task")), options.pop("data")
    for name in sorted({"out", "resume"} & options.keys()):
        raise UsageError(f"{name}: got {options[name]!r}, but Ray's storage keeps the run folder; leave it out")
    team, last = find_team(), ray.train.get_checkpoint()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "run")
        if team.leads and last is not None:
            last.to_directory(folder)

        def report(scores: Mapping[str, float] | None = None) -> None:
            """Hand the run folder to Ray. All workers must call this, because Ray waits for all of them."""
            metrics = {**(read_rows(folder / "metrics.jsonl") or [{}])[-1], **(scores or {})}
            checkpoint = ray.train.Checkpoint.from_directory(folder) if team.leads else None
            ray.train.report(metrics, checkpoint=checkpoint)

        team.on_checkpoint = report
        train_folder(task, data, {**options, "out": str(folder), "resume": last is not None}, team)
        report(read_json(folder / "result.json")["scores"] if team.leads else None)
