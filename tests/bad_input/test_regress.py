"""Bad data and options of ``train regress``."""

from __future__ import annotations

import pytest

from bad_input.files import QUICK, Check, life, replace_line

COMMAND = ("train", "regress")
TARGET = ("--channels", "a,b", "--id", "id", "--target", "left")

FILES: dict[str, str | bytes] = {
    "life.csv": life(),
    "left_word.csv": replace_line(life(), 3, "0,1,1,soon"),
    "left_inf.csv": replace_line(life(), 3, "0,1,1,inf"),
    "classes.ts": "@univariate true\n@classLabel true a b\n@data\n1,2:a\n",
}

DATA_CASES = [
    ("life.csv", TARGET, "line 3, column 'left': 2, but 3 before in the same sequence; --every-step"),
    ("left_word.csv", TARGET, "left_word.csv: line 3, column 'left': 'soon' is not a number"),
    ("left_inf.csv", (*TARGET, "--every-step"), "left_inf.csv: line 3, column 'left': 'inf' is not finite"),
    ("messages.csv", ("--text", "text", "--target", "label"), "column 'label': 'warm' is not a number"),
    ("classes.ts", (), "classes.ts: line 2: a class is not a number, wanted @targetLabel"),
]


@pytest.mark.parametrize(("file", "options", "message"), DATA_CASES)
def test_bad_data_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *options, *QUICK)
    assert message in failure.line
    assert failure.code == 1


OPTION_CASES = [
    ("life.csv", ("--channels", "a", "--id", "id"), "target: name the column of the target"),
    ("life.csv", (*TARGET[:4], "--target", "lft"), "no column 'lft' (did you mean 'left'?)"),
    ("messages.csv", ("--text", "text", "--every-step"), "every_step: for --channels with --id"),
]


@pytest.mark.parametrize(("file", "options", "message"), OPTION_CASES)
def test_bad_option_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *QUICK, *options)
    assert message in failure.line
    assert failure.code == 2
