"""The keywords of ``seriatim.train`` are the options of all tasks, and the registry's rows agree with the tasks."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from seriatim.tasks.options.keywords import TrainKeywords
from seriatim.tasks.registry import ROWS, TaskRow, find_task


def test_keywords_name_every_option_with_its_type() -> None:
    keywords = typing.get_type_hints(TrainKeywords)
    options = {field.name for row in ROWS for field in dataclasses.fields(row.options)}
    assert keywords.keys() == options
    for row in ROWS:
        for name, hint in typing.get_type_hints(row.options).items():
            keyword = str(keywords[name])
            parts = {int, float, str, bool} & {*typing.get_args(hint), hint}
            assert all(part.__name__ in keyword for part in parts), f"{name}: {hint} against {keyword}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_registry_row_agrees_with_task(row: TaskRow) -> None:
    task = find_task(row.name)
    assert (task.name, task.options) == (row.name, row.options)
