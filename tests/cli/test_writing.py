"""Models that write texts, from the command line: trained without DATA, and given other options when they write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seriatim.cli.app import run as run_command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    words = [f"{one}{other}{third}" for one in "abcd" for other in "abcd" for third in "abc"]
    (folder / "a.txt").write_text("".join(f"{word}\n" for word in words))
    (folder / "b.txt").write_text("".join(f"{word[::-1]}\n" for word in words))
    words = [
        "train",
        "translate",
        "--source-file",
        folder / "a.txt",
        "--target-file",
        folder / "b.txt",
        "--unit",
        "char",
    ]
    words += ["--hidden", "8", "--epochs", "1", "--threads", "1", "--quiet", "--out", folder / "run"]
    assert run_command([str(word) for word in words]) == 0
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert run_command([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_test_part_and_other_files_are_scored_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = said(capsys, "evaluate", folder / "run", "--json")
    assert first["scores"] == json.loads((folder / "run" / "result.json").read_text())["scores"]
    assert set(first["baselines"]) == {"nearest", "copy"}
    other = said(
        capsys, "evaluate", folder / "run", f"{folder / 'a.txt'},{folder / 'b.txt'}", "--beam-size", 1, "--json"
    )
    assert other["data"]["test"] == 48
    short = said(capsys, "evaluate", folder / "run", "--max-length", "1", "--json")
    assert short["scores"]["exact_match"] == 0.0
    assert short["scores"]["perplexity"] == first["scores"]["perplexity"]


def test_predictions_with_others_and_alignments_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "two.txt").write_text("abc\ndda\n")
    words = ("predict", folder / "run", folder / "two.txt", "--json")
    rows = said(capsys, *words, "--beam-size", 3, "--n-best", 2, "--draw", folder / "drawn")["predictions"]
    assert [len(row["n_best"]) for row in rows] == [2, 2]
    assert all("alignment" not in row for row in rows)
    drawn = sorted((folder / "drawn").iterdir())
    assert [file.name for file in drawn] == ["1.png", "2.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in drawn)
    (row, _) = said(capsys, *words, "--alignment")["predictions"]
    assert row["alignment"]["source"] == ["a", "b", "c"]


def test_other_runs_are_not_given_these_options_anew(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.txt").write_text("the cat sees the sun. " * 20)
    words = ["train", "language", tmp_path / "t.txt", "--hidden", "4", "--epochs", "1", "--baselines", "none"]
    assert run_command([str(word) for word in [*words, "--quiet", "--out", tmp_path / "run"]]) == 0
    for verb, option, value in (
        ("predict", "--draw", "drawn"),
        ("predict", "--n-best", "2"),
        ("evaluate", "--length-penalty", "0"),
    ):
        assert run_command([verb, str(tmp_path / "run"), str(tmp_path / "t.txt"), option, value]) == 2
        assert f"error: {option}: for translate and caption runs; this is a language run" in capsys.readouterr().err
