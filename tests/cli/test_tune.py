"""``seriatim tune``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seriatim.cli.tune import read_tries
from seriatim.errors import UsageError

TINY = ["--epochs", "1", "--baselines", "none", "--quiet", "--trials", "2"]


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    file = tmp_path / "messages.csv"
    rows = "".join(f"the {thing} is {label},{label}\n" for thing, label in [("sun", "warm"), ("sea", "cold")] * 20)
    file.write_text("text,label\n" + rows)
    return file


def test_search_from_the_command_line(seriatim, messages, tmp_path):
    command = ["tune", "classify", str(messages), "--text", "text", "--label", "label", "--out", str(tmp_path / "s")]
    command += ["--try", "hidden=4..8", "--try", "bidirectional=true,false", *TINY]
    out = seriatim(*command).out
    assert "valid_nll" in out and "complete" in out and str(tmp_path / "s" / "best") in out
    result = json.loads(seriatim(*command, "--json").out)
    assert len(result["trials"]) == 2 and result["score"] == "valid_nll" and result["run"].endswith("best")
    assert set(result["best"]["params"]) == {"hidden", "bidirectional"} and result["result"]["model"] == "lstm"


def test_space_is_printed(seriatim):
    lines = seriatim("tune", "tag", "--space").out.splitlines()
    assert "--try lr=5e-4..1e-2:log" in lines and "--try word-dropout=0..0.3" in lines
    assert json.loads(seriatim("tune", "tag", "--space", "--json").out)["word_dropout"] == "0..0.3"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tune"], "tune: wanted a task: language"),
        (["tune", "classfy"], "no task 'classfy' (did you mean 'classify'?)"),
        (["tune", "classify"], "tune classify: wanted DATA"),
        (["tune", "classify", "x.csv", "--try", "hidden"], "--try: got 'hidden', wanted NAME=SPACE"),
        (["tune", "classify", "x.csv", "--try", "hiden=1..2"], "no option 'hiden' to try"),
        (["tune", "classify", "x.csv", "--try", "hidden=1..2", "--resume"], "no option '--resume'"),
        (["tune", "classify", "x.csv", "--try", "hidden=1..2", "--hidden", "3"], "is tried"),
    ],
)
def test_wrong_usage(seriatim, arguments, message):
    result = seriatim(*arguments)
    assert result.code == 2 and message in result.err and not result.out


def test_names_of_tries():
    assert read_tries(["batch-size=1,2", "--lr=0.1,0.2"]) == {"batch_size": "1,2", "lr": "0.1,0.2"}
    assert read_tries([]) is None
    with pytest.raises(UsageError, match="hidden is given twice"):
        read_tries(["hidden=1..2", "hidden=2..3"])
