"""Bad data and options of ``train language``."""

from __future__ import annotations

import pytest

from bad_input.files import QUICK, Check

COMMAND = ("train", "language")
ROLL = ("--unit", "roll")

FILES: dict[str, str | bytes] = {
    "blank.txt": " \n\n",
    "short.txt": "ab",
    "junk.mat": "junk" * 99,
    "junk.npy": "junk",
}

DATA_CASES = [
    ("junk.mat", ROLL, "junk.mat: not a MATLAB file that can be read"),
    ("junk.npy", ROLL, "junk.npy: not a .npy file of numbers that can be read"),
    ("nothere.txt", (), "nothere.txt: no such file, nor a bundled set of that name"),
    ("shakespear", (), "(did you mean 'shakespeare'?)"),
    ("empty.txt", (), "empty.txt: is empty"),
    ("blank.txt", (), "blank.txt: holds nothing but white space"),
    ("folder", (), "folder: is a directory, wanted a file"),
    ("latin.txt", (), "latin.txt: not UTF-8: byte 0xe9 at offset 7 (line 1)"),
    ("short.txt", (), "train part: 1 char units, wanted at least 2: too little text"),
    ("corpus.txt", ("--valid", "nothere.txt"), "nothere.txt: no such file"),
    ("corpus.txt", ("--test", "latin.txt"), "latin.txt: not UTF-8: byte 0xe9"),
]


@pytest.mark.parametrize(("file", "options", "message"), DATA_CASES)
def test_bad_data_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *options, *QUICK)
    assert message in failure.line
    assert failure.code == 1


OPTION_CASES = [
    ("corpus.txt", ROLL, "corpus.txt: a piano roll is a .mat or a .npy file"),
    ("junk.mat", (*ROLL, "--tie"), "tie: for units of text, not --unit roll"),
    ("junk.mat", (*ROLL, "--model", "window"), "model: 'window' reads one unit a step"),
    ("corpus.txt", ("--bidirectional",), "bidirectional: a language model must not see what it predicts"),
    ("corpus.txt", ("--order", "9"), "order: got 9, wanted at most 8"),
    ("corpus.txt", ("--tie", "--model", "cbow"), "tie: for networks, not cbow"),
    ("corpus.txt", ("--vectors", "cbow"), "vectors: for texts read word by word, not --unit char"),
    ("corpus.txt", ("--tie", "--embedding", "7"), "embedding: got 7, but --tie wants it as wide"),
    ("corpus.txt", ("--activation", "relu"), "activation: for rnn, not lstm"),
    ("corpus.txt", ("--forget-bias", "2", "--model", "gru"), "for lstm, minlstm, slstm, not gru"),
    ("corpus.txt", ("--kernel", "5"), "kernel: for cnn, not lstm"),
    ("corpus.txt", ("--heads", "2", "--model", "cnn"), "heads: for transformer, not cnn"),
    ("corpus.txt", ("--forget-bias", "2", "--model", "transformer"), "forget_bias: for lstm"),
    ("corpus.txt", ("--model", "transformer", "--hidden", "50"), "heads: got 4 for 50 hidden units"),
    (
        "corpus.txt",
        ("--model", "transformer", "--heads", "1", "--positions", "sinusoidal"),
        "positions: sinusoidal counts",
    ),
    ("corpus.txt", ("--model", "mlp"), "--model: 'mlp' is not one of"),
    ("corpus.txt", ("--unit", "bpe", "--vocab-size", "99"), "vocab_size: got 99, wanted at least 257"),
    ("corpus.txt", ("--unit", "chra"), "is not one of char, word, bpe, roll (did you mean 'char'?)"),
    ("corpus.txt", ("--model", "ltsm"), "--model: 'ltsm' is not one of"),
    ("corpus.txt", ("--model", "ltsm"), "(did you mean 'lstm'?)"),
    ("corpus.txt", ("--hiden", "4"), "no option '--hiden' (did you mean '--hidden'?)"),
    ("corpus.txt", ("--resume",), "resume: needs --out"),
    ("corpus.txt", ("--out", "corpus.txt"), "out: 'corpus.txt' is a file, wanted a folder"),
    ("corpus.txt", ("--out", "taken"), "out: 'taken' is not empty; give another folder, or --resume"),
]


@pytest.mark.parametrize(("file", "options", "message"), OPTION_CASES)
def test_bad_option_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *QUICK, *options)
    assert message in failure.line
    assert failure.code == 2
