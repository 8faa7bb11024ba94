"""A folder with good and bad files and a trained run of each task, and a check of commands that must fail there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bad_input.files import FILES, Check, Failure
from seriatim.cli.app import run as run_command
from seriatim.run import train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shared files, and a run of each task."""
    folder = tmp_path_factory.mktemp("bad_input")
    write_files(folder, FILES)
    (folder / "folder").mkdir()
    (folder / "folder.csv").mkdir()
    (folder / "taken").mkdir()
    (folder / "taken" / "mine.txt").write_text("precious")
    options: dict[str, Any] = {"hidden": 4, "epochs": 1, "threads": 1, "baselines": "fast"}
    columns: dict[str, dict[str, Any]] = {
        "translate": {},
        "language": {},
        "texts": {"text": "text", "label": "label"},
        "steps": {"channels": "a,b", "id": "id", "label": "label"},
        "tag": {},
        "caption": {"image": "image", "text": "caption", "image_size": 8, "filters": 1},
        "forecast": {"time": "date", "target": "close", "horizon": 4, "lookback": 12},
    }
    for name, file in SOURCES.items():
        task = "classify" if name in ("texts", "steps") else name
        train(task, str(folder / file), out=str(folder / name), **columns[name], **options)
    return folder


SOURCES = {
    "translate": "many.csv", "language": "corpus.txt", "texts": "messages.csv", "steps": "steps.csv",
    "tag": "tagged.tsv", "caption": "captions.csv", "forecast": "prices.csv",
}  # fmt: skip
"""The file on which each run is trained."""


@pytest.fixture(scope="module")
def folder(trained: Path, request: pytest.FixtureRequest) -> Path:
    """The folder of ``trained``, with the ``FILES`` of the test module added."""
    write_files(trained, getattr(request.module, "FILES", {}))
    return trained


@pytest.fixture
def failure_of(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run a command in ``folder`` that must fail with one line on standard error, and must not change any file."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SERIATIM_DEBUG", raising=False)

    def command(*words: object) -> Failure:
        previous = listing(folder)
        code = run_command([str(word) for word in words])
        captured = capsys.readouterr()
        assert code != 0, captured.out
        assert captured.out == ""
        assert listing(folder) == previous, "the command must leave nothing behind, and touch nothing"
        *progress, line = captured.err.splitlines()
        assert progress == []
        assert line.startswith("seriatim: error: ")
        assert "--debug" not in line, "this failure was not expected by the program"
        return Failure(code, line.removeprefix("seriatim: error: "))

    return command


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files with text or bytes."""
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def listing(folder: Path) -> dict[str, int]:
    """Return the time of the last change of each file, and 0 for each folder."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} | {
        str(path): 0 for path in folder.rglob("*") if path.is_dir()
    }
