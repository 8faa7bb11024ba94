"""Wrong numbers and mistyped commands."""

from __future__ import annotations

import pytest

from bad_input.files import Check

COMMAND = ("train", "language", "corpus.txt")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (option, value)
        for option, values in {
            "--lr": ("nan", "inf", "0", "-1", "fast"), "--dropout": ("nan", "1", "-0.1"),
            "--clip": ("nan", "inf", "-1"), "--weight-decay": ("inf", "-1"), "--forget-bias": ("nan", "-inf"),
            "--epochs": ("0", "-1", "1.5", "nan"), "--batch-size": ("0", "-8", "1e3"), "--hidden": ("0", "-4", "x"),
            "--layers": ("0",), "--seed": ("-1", "99999999999999999999"), "--threads": ("0",), "--patience": ("0",),
            "--truncation": ("0",), "--checkpoint-every": ("0",), "--context": ("0",), "--vocab-size": ("1",),
            "--time-limit": ("0", "5x", "-1m", "nan"), "--embedding": ("0",), "--restart": ("1",),
        }.items()
        for value in values
    ],
)  # fmt: skip
def test_number_out_of_range_is_refused(failure_of: Check, option: str, value: str) -> None:
    words = {option: value, "--epochs": "1", "--hidden": "4"} | {option: value}
    failure = failure_of(*COMMAND, *(word for pair in words.items() for word in pair))
    assert failure.line.startswith(f"{option}: got ")
    assert failure.code == 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("train", "langauge"), "no task 'langauge' (did you mean 'language'?)"),
        (("trian",), "no command 'trian' (did you mean 'train'?)"),
    ],
)
def test_mistyped_command_is_refused(failure_of: Check, command: tuple[str, ...], message: str) -> None:
    failure = failure_of(*command, "corpus.txt")
    assert message in failure.line
    assert failure.code == 2
