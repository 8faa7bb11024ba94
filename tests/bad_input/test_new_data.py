"""New data for ``evaluate`` and ``predict`` that a run cannot read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bad_input.files import Check, prices
from seriatim.cli.app import run as run_command

CASES = [
    ("caption", "image_half.csv", "line 4, column 'image': half.png: broken image"),
    ("caption", "messages.csv", "no column 'image'"),
    ("translate", "messages.csv", "no column 'source'"),
    ("texts", "steps.csv", "no column 'text'"),
    ("steps", "messages.csv", "no column 'a'"),
    ("language", "latin.txt", "latin.txt: not UTF-8"),
    ("language", "empty.txt", "empty.txt: is empty"),
    ("texts", "nothere.csv", "nothere.csv: no such file"),
    ("texts", "wide.ts", "line 6"),
    ("forecast", "messages.csv", "no column 'close'"),
    ("tag", "narrow.conllu", "narrow.conllu: line 2: 4 columns"),
    ("tag", "nothere.tsv", "nothere.tsv: no such file"),
    ("forecast", "nothere.csv", "nothere.csv: no such file"),
    ("forecast", "folder.csv", "folder.csv: is a directory"),
]


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
@pytest.mark.parametrize(("run", "data", "message"), CASES)
def test_unreadable_data_are_refused(failure_of: Check, verb: str, run: str, data: str, message: str) -> None:
    failure = failure_of(verb, run, data)
    assert message in failure.line
    assert failure.code == (2 if "no column" in message else 1)


def test_texts_and_numbers_are_not_confused(folder: Path, failure_of: Check) -> None:
    (folder / "three.ts").write_text("@classLabel true warm cold\n@data\n1,2:3,4:5,6:warm\n1,2:3,4:5,6:cold\n")
    assert "got numeric sequences (3 channels), but the model reads" in failure_of("evaluate", "texts", "three.ts").line
    assert "got 3 channels, but the model reads sequences of 2" in failure_of("predict", "steps", "three.ts").line
    (folder / "three.ts").unlink()


@pytest.mark.parametrize("run", ["steps", "forecast"])
def test_lines_on_standard_input_are_refused_by_tasks_for_numbers(
    run: str, failure_of: Check, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "piped").write_bytes(b"some words\nmore words\n")
    with (tmp_path / "piped").open() as piped:
        monkeypatch.setattr("sys.stdin", piped)
        failure = failure_of("predict", run, "-", "--format", "txt")
    assert "texts" in failure.line or "reads tables" in failure.line


def test_short_series_is_refused(folder: Path, failure_of: Check) -> None:
    (folder / "stub.csv").write_text(prices(11))
    assert (
        "series '1': 11 rows, wanted at least the lookback of 12" in failure_of("predict", "forecast", "stub.csv").line
    )
    assert "series '1': 11 rows, wanted at least 16" in failure_of("evaluate", "forecast", "stub.csv").line
    (folder / "stub.csv").unlink()


def test_unseen_label_is_noted(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert run_command(["evaluate", "texts", "unseen.csv", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["scores"]["accuracy"] <= 0.5
    note = (
        "new data: 1 of 2 labels are not in the training part and count as errors, the first unseen.csv line 3: 'hot'"
    )
    assert f"note: {note}\n" in err


def test_generate_is_refused_for_classify_run(failure_of: Check) -> None:
    assert failure_of("generate", "texts").code == 2


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_failed_prediction_leaves_no_file(failure_of: Check, verb: str) -> None:
    output = ("-o", "out.csv") if verb == "predict" else ()
    assert failure_of(verb, "steps", "infinite.csv", *output).code == 1
