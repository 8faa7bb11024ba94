"""A full disk, and folders that cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bad_input.files import QUICK, Check
from seriatim.cli.app import run as run_command
from seriatim.run import train


@pytest.mark.parametrize("nth", [1, 2, 3, 5])
def test_full_disk(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """The ``nth`` file does not fit on the disk: the error names it, and no part of it is left."""
    count = 0

    def fsync(number: int) -> None:
        nonlocal count
        count += 1
        if count >= nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    out = tmp_path / "run"
    words = [
        "train",
        "classify",
        folder / "messages.csv",
        "--text",
        "text",
        "--label",
        "label",
        *QUICK,
        "--quiet",
        "--out",
        out,
    ]
    code = run_command([str(word) for word in words])
    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "")
    (line,) = captured.err.splitlines()
    assert line.startswith(f"seriatim: error: {out}{os.sep}")
    assert line.endswith("cannot be written (No space left on device); nothing was changed")
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) == nth - 1
    assert not [path for path in written if path.name.endswith(".part")]
    monkeypatch.undo()
    again = train("classify", str(folder / "messages.csv"), text="text", label="label", out=str(out), resume=True,
                  epochs=1, hidden=4, baselines="none", threads=1)  # fmt: skip
    assert again.result["scores"]


def test_full_disk_keeps_old_predictions(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "out.csv").write_text("before")
    monkeypatch.setattr(os, "fsync", fsync)
    words = ("predict", folder / "texts", folder / "messages.csv", "-o", tmp_path / "out.csv")
    assert run_command([str(word) for word in words]) == 1
    assert f"{tmp_path}/out.csv: cannot be written (No space left on device)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "before"


def test_folder_that_cannot_be_written(failure_of: Check) -> None:
    failure = failure_of("train", "language", "corpus.txt", *QUICK, "--out", "corpus.txt/run")
    assert failure.code == 1
    assert failure.line.startswith("corpus.txt/run/config.json: cannot be written (Not a directory)")
    assert "taken/mine.txt/x.csv: cannot be written" in failure_of(
        "predict", "texts", "messages.csv", "-o", "taken/mine.txt/x.csv"
    ).line  # fmt: skip
