"""Bad data and options of ``train translate``."""

from __future__ import annotations

import pytest

from bad_input.files import QUICK, Check

COMMAND = ("train", "translate")
COLUMN_PAIR = ("--source", "text", "--target", "label")

FILES: dict[str, str | bytes] = {
    "one.txt": "ein Hund\n" * 20,
    "two.txt": "a dog\n" * 19,
    "gap.txt": "a dog\na cat\n\n" + "a dog\n" * 17,
    "pairs.csv": "source,target,label\nein Hund,a dog,x\n",
}

DATA_CASES = [
    ("one.txt", ("two.txt",), "two.txt: 19 lines, wanted 20 as in one.txt: line N of one belongs to line N"),
    ("one.txt", ("gap.txt",), "gap.txt: line 3 is empty"),
    ("one.txt", ("nothere.txt",), "nothere.txt: no such file"),
    ("one.txt", ("one.txt", "--test", "one.txt,two.txt"), "two.txt: 19 lines, wanted 20"),
    ("pairs.csv", ("--target", "label"), "valid part: no pairs; too little data"),
    ("lacking.csv", COLUMN_PAIR, "lacking.csv: line 5, column 'label': no text"),
    ("silent.csv", COLUMN_PAIR, "silent.csv: line 5, column 'text': empty text"),
]


@pytest.mark.parametrize(("file", "options", "message"), DATA_CASES)
def test_bad_data_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *options, *QUICK)
    assert message in failure.line
    assert failure.code == 1


OPTION_CASES = [
    ("many.csv", ("--teacher-forcing", "2"), "teacher_forcing: got 2.0, wanted at most 1"),
    ("pairs.csv", ("--source", "sorce"), "no column 'sorce' (did you mean 'source'?)"),
    ("messages.csv", (), "messages.csv: no column 'source'"),
    ("pairs.csv", ("--source-file", "one.txt"), "source_file, target_file: give both, or a table as DATA"),
    (
        "pairs.csv",
        ("--source-file", "one.txt", "--target-file", "one.txt"),
        "data: give either DATA, or source_file and target_file, not both",
    ),
    ("one.txt", ("one.txt", "one.txt"), "data: 3 files, wanted a table or two files, the source's"),
    ("one.txt", (), "one.txt: unknown extension for a table"),
    ("pairs.csv", ("--n-best", "9"), "n_best: got 9, wanted at most the beam's size (4, --beam-size)"),
    ("pairs.csv", ("--attention", "dots"), "--attention: 'dots' is not one of none, dot, general"),
]


@pytest.mark.parametrize(("file", "options", "message"), OPTION_CASES)
def test_bad_option_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *QUICK, *options)
    assert message in failure.line
    assert failure.code == 2
