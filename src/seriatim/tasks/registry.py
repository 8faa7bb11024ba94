"""The tasks by name."""

from __future__ import annotations

from typing import Any

from seriatim.errors import UsageError, nearest
from seriatim.tasks.caption import Caption
from seriatim.tasks.classify import Classify
from seriatim.tasks.forecast import Forecast
from seriatim.tasks.language import Language
from seriatim.tasks.regress import Regress
from seriatim.tasks.tag import Tag
from seriatim.tasks.task import Task
from seriatim.tasks.translate import Translate

TASKS: dict[str, Task[Any, Any, Any]] = {
    task.name: task for task in (Language(), Classify(), Forecast(), Regress(), Tag(), Translate(), Caption())
}


def find_task(name: str) -> Task[Any, Any, Any]:
    """Return the task called ``name``. Raises ``UsageError`` with the nearest one."""
    if name not in TASKS:
        raise UsageError(f"no task '{name}'{nearest(name, TASKS)}")
    return TASKS[name]
