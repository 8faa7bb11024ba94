"""The options of a task as fields, for rooms that offer them under other conventions: estimators and searches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from seriatim.options import fill
from seriatim.tasks.options.keywords import TrainKeywords as TrainKeywords
from seriatim.tasks.registry import find_task


def task_options(task: str) -> Mapping[str, dataclasses.Field[Any]]:
    """Return the options of ``task`` by name. Raises ``UsageError`` for an unknown task."""
    return {field.name: field for field in dataclasses.fields(find_task(task).options)}


def check_option(task: str, name: str, value: object) -> Any:
    """Return ``value`` as the option ``name`` of ``task`` takes it. Raises ``UsageError`` if it does not fit."""
    return getattr(fill(find_task(task).options, {name: value}), name)
