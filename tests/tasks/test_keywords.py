"""The typed words of ``seriatim.train`` are the options of the tasks."""

from __future__ import annotations

import dataclasses
import typing

from seriatim.tasks import registry
from seriatim.tasks.options.keywords import TrainKeywords

TASKS = tuple(task.options for task in registry.TASKS.values())


def test_every_option_is_a_keyword_of_the_same_type() -> None:
    words = typing.get_type_hints(TrainKeywords)
    declared = {field.name for task in TASKS for field in dataclasses.fields(task)}
    assert words.keys() == declared
    for task in TASKS:
        for name, hint in typing.get_type_hints(task).items():
            given = str(words[name])
            parts = {int, float, str, bool} & {*typing.get_args(hint), hint}
            assert all(part.__name__ in given for part in parts), f"{name}: {hint} against {given}"
