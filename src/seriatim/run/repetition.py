"""``--config``: the options and the data of a run, to train again what that run was."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seriatim.errors import DataError, RunError, UsageError
from seriatim.run.folder import FREE_TO_CHANGE, read_config
from seriatim.tasks.registry import find_task

NOT_REPEATED = tuple(name for name in FREE_TO_CHANGE if name != "time_limit")
"""Options of the folder and the progress of one training."""


@dataclass(frozen=True)
class Repetition:
    """The task, the options and the data of a run that is to be trained again."""

    task: str
    options: Mapping[str, Any]
    source: Any
    """The path of the data, or several paths; None for data in memory."""


def read_repetition(config: str | Path, task: str | None = None) -> Repetition:
    """Read the ``config.json`` of a run (or its folder).

    Raises ``UsageError`` if it is of another task than ``task``, ``RunError`` if it is no config, and ``DataError`` if
    its files are gone.
    """
    path = Path(config)
    folder = path.parent if path.name == "config.json" else path
    if path.is_file() and path.name != "config.json":
        raise UsageError(f"config: got '{path}', wanted the config.json of a run")
    content = read_config(folder)
    if task is not None and content["task"] != task:
        raise UsageError(f"config: {path} is of the task {content['task']}, not {task}")
    if not isinstance(content["options"], dict):
        raise RunError(f"{path}: damaged")
    options = {name: value for name, value in content["options"].items() if name not in NOT_REPEATED}
    implementation = find_task(content["task"])
    declared = {field.name: field.default for field in dataclasses.fields(implementation.options)}
    # Options that the run's version did not have keep their former meaning, and do not get later defaults.
    options |= {name: value for name, value in declared.items() if name not in {*options, *FREE_TO_CHANGE}}
    paths = content["data"]["source"]
    if paths is not None:
        missing = [file for file in paths if not Path(file).exists()]
        if missing:
            raise DataError(f"{missing[0]}: the data of {folder} are gone; give the data to train on")
    return Repetition(content["task"], options, None if paths is None else paths if len(paths) > 1 else paths[0])
