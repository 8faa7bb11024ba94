"""Bad data and options of ``train classify``."""

from __future__ import annotations

import pytest

from bad_input.files import QUICK, Check, messages, replace_line, silence, steps

COMMAND = ("train", "classify")
TEXTS = ("--text", "text", "--label", "label")
STEPS = ("--channels", "a,b", "--id", "id", "--label", "label")
SOUND = ("--sound", "file", "--label", "label")

FILES: dict[str, str | bytes] = {
    "empty.csv": "",
    "latin.csv": "text,label\nthe café,warm\n".encode("latin-1"),
    "ragged.csv": replace_line(messages(), 3, "red rose,warm,more"),
    "narrow.csv": replace_line(messages(), 3, "red rose"),
    "header.csv": "text,label\n",
    "single.csv": "text,label\n" + "hello you,ham\n" * 20,
    "few.csv": "text,label\nred,warm\nsea,cold\n",
    "word.csv": replace_line(steps(), 3, "0,abc,1,x"),
    "nan.csv": replace_line(steps(), 3, "0,nan,1,x"),
    "two.csv": replace_line(steps(), 3, "0,1.5,1,y"),
    "own.vec": "red 1 2\nsea 3 4\n",
    "thin.vec": "red 1 2\nsea 3\n",
    "odd.vec": "red 1 2\nsea x 3\n",
    "other.vec": "zebra 1 2\n",
    "short.vec": "3 2\nred 1 2\n",
    "binary.vec": b"2 2\nred \x00\x01\x02\x03\n",
    "junk.wav": "junk",
    "empty.wav": "",
    "heard.csv": "file,label\njunk.wav,a\n",
    "gone.csv": "file,label\ngone.wav,a\n",
    "still.csv": "file,label\nempty.wav,a\n",
    "slow.wav": silence(8000),
    "fast.wav": silence(16000),
    "rates.csv": "file,label\nslow.wav,a\nfast.wav,b\n",
    "junk.parquet": "junk",
    "table.xlsx": "junk",
}

DATA_CASES = [
    ("heard.csv", SOUND, "heard.csv: line 2, column 'file': junk.wav: not a sound file that can be read"),
    ("gone.csv", SOUND, "gone.csv: line 2, column 'file': gone.wav: no such file"),
    ("rates.csv", SOUND, "rates.csv: line 3, column 'file': fast.wav has 16000 samples per second, but slow"),
    ("still.csv", SOUND, "still.csv: line 2, column 'file': empty.wav: is empty"),
    ("latin.csv", TEXTS, "latin.csv: not UTF-8: byte 0xe9 at offset 18 (line 2)"),
    ("ragged.csv", TEXTS, "ragged.csv: line 3: 3 cells, wanted 2"),
    ("narrow.csv", TEXTS, "narrow.csv: line 3: 1 cells, wanted 2"),
    ("header.csv", TEXTS, "header.csv: holds a header but no rows"),
    ("empty.csv", TEXTS, "empty.csv: is empty"),
    ("folder.csv", TEXTS, "folder.csv: is a directory"),
    ("single.csv", TEXTS, "label: a single class 'ham' in the training part, wanted at least 2"),
    ("few.csv", TEXTS, "valid part: no sequences; too little data"),
    ("lacking.csv", TEXTS, "lacking.csv: line 5, column 'label': no label"),
    ("silent.csv", TEXTS, "silent.csv: line 5, column 'text': empty text"),
    (
        "messages.csv",
        (*TEXTS, "--valid", "novel.csv"),
        "novel.csv line 2: 'hot' is not in the training part, nor is any other label of the valid part",
    ),
    ("messages.csv", (*TEXTS, "--valid", "ragged.csv"), "ragged.csv: line 3: 3 cells, wanted 2"),
    ("word.csv", STEPS, "word.csv: line 3, column 'a': 'abc' is not a number"),
    ("nan.csv", STEPS, "nan.csv: line 3, column 'a': missing value"),
    ("infinite.csv", STEPS, "infinite.csv: line 3, column 'a': 'inf' is not finite"),
    ("two.csv", STEPS, "two.csv: line 3, column 'label': 'y', but 'x' before in the same sequence"),
    ("messages.csv", ("--channels", "text", "--id", "label", "--label", "label"), "line 2, column 'text'"),
    ("wide.ts", (), "wide.ts: line 6: dimension 1: 'x' is not a number"),
    ("junk.parquet", TEXTS, "junk.parquet: not a Parquet file"),
    ("broken.jsonl", TEXTS, "broken.jsonl: line 2: not JSON"),
    ("messages.csv", (*TEXTS, "--vectors", "thin.vec"), "thin.vec line 2: 1 numbers, wanted 2"),
    ("messages.csv", (*TEXTS, "--vectors", "odd.vec"), "odd.vec line 2: 'x' is not a finite number"),
    ("messages.csv", (*TEXTS, "--vectors", "other.vec"), "other.vec: none of the "),
    ("messages.csv", (*TEXTS, "--vectors", "short.vec"), "short.vec: 1 vectors, but its first line says 3"),
    ("messages.csv", (*TEXTS, "--vectors", "binary.vec"), "binary.vec line 2: holds binary data"),
    ("messages.csv", (*TEXTS, "--vectors", "empty.txt"), "empty.txt: is empty"),
    ("messages.csv", (*TEXTS, "--vectors", "nothere.vec"), "nothere.vec: No such file"),
]


@pytest.mark.parametrize(("file", "options", "message"), DATA_CASES)
def test_bad_data_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *options, *QUICK)
    assert message in failure.line
    assert failure.code == 1


OPTION_CASES = [
    ("messages.csv", ("--text", "txt", "--label", "label"), "no column 'txt' (did you mean 'text'?)"),
    ("messages.csv", ("--text", "text", "--label", "lable"), "no column 'lable' (did you mean 'label'?)"),
    ("messages.csv", (*TEXTS, "--group", "xyz"), "no column 'xyz' (known: text, label)"),
    ("steps.csv", ("--channels", "a,c", "--id", "id", "--label", "label"), "no column 'c'"),
    ("messages.csv", ("--label", "label"), "text: name the column of the text or sound, or"),
    ("messages.csv", ("--text", "text"), "label: name the column of the label"),
    ("messages.csv", (*TEXTS, "--channels", "a"), "give either --text or --channels, not both"),
    ("steps.csv", ("--channels", "a,b", "--label", "label"), "id: --channels needs --id"),
    ("messages.csv", (*TEXTS, "--sound", "text"), "text: give either --text or --sound, not both"),
    ("messages.csv", (*TEXTS, "--sample-rate", "8000"), "sample_rate: for --sound"),
    ("heard.csv", (*SOUND, "--sample-rate", "8000", "--frame", "0.1"), "frame, hop, mels: frames of 0.1 ms"),
    ("table.xlsx", TEXTS, "table.xlsx: unknown extension for a table"),
    ("messages.csv", (*TEXTS, "--freeze-vectors"), "freeze_vectors: needs --vectors"),
    ("messages.csv", (*TEXTS, "--vectors", "own.vec", "--embedding", "7"), "embedding: got 7, but the vectors of "),
    ("messages.csv", (*TEXTS, "--vectors", "own.vec", "--model", "majority"), "vectors: for networks, not majority"),
    (
        "messages.csv",
        (*TEXTS, "--vectors", "own.vec", "--unit", "char"),
        "vectors: for texts read word by word, not --unit char",
    ),
    ("steps.csv", (*STEPS, "--vectors", "cbow"), "vectors: for texts read word by word, not numbers"),
]


@pytest.mark.parametrize(("file", "options", "message"), OPTION_CASES)
def test_bad_option_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *QUICK, *options)
    assert message in failure.line
    assert failure.code == 2
