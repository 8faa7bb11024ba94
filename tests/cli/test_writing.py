"""Models that write texts, on the command line: training without DATA, and other decoding options afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seriatim.cli.app import run as run_command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    words = [f"{first}{second}{third}" for first in "abcd" for second in "abcd" for third in "abc"]
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


def run_json(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert run_command([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_with_other_files_and_options(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = run_json(capsys, "evaluate", folder / "run", "--json")
    assert first["scores"] == json.loads((folder / "run" / "result.json").read_text())["scores"]
    assert set(first["baselines"]) == {"nearest", "copy"}
    other = run_json(
        capsys, "evaluate", folder / "run", f"{folder / 'a.txt'},{folder / 'b.txt'}", "--beam-size", 1, "--json"
    )
    assert other["data"]["test"] == 48
    short = run_json(capsys, "evaluate", folder / "run", "--max-length", "1", "--json")
    assert short["scores"]["exact_match"] == 0.0
    assert short["scores"]["perplexity"] == first["scores"]["perplexity"]


def test_predict_with_n_best_and_drawn_alignments(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "two.txt").write_text("abc\ndda\n")
    words = ("predict", folder / "run", folder / "two.txt", "--json")
    rows = run_json(capsys, *words, "--beam-size", 3, "--n-best", 2, "--draw", folder / "drawn")["predictions"]
    assert [len(row["n_best"]) for row in rows] == [2, 2]
    assert all("alignment" not in row for row in rows)
    files = sorted((folder / "drawn").iterdir())
    assert [file.name for file in files] == ["1.png", "2.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    (row, _) = run_json(capsys, *words, "--alignment")["predictions"]
    assert row["alignment"]["source"] == ["a", "b", "c"]


def test_decoding_options_are_refused_for_other_tasks(
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
