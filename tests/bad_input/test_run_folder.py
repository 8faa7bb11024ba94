"""Damaged, foreign and newer run folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from bad_input.conftest import SOURCES, listing
from bad_input.files import Check
from seriatim.run import load
from seriatim.storage import read_arrays


def damaged_copy(folder: Path, tmp_path: Path, run: str, file: str, content: bytes | None) -> Path:
    """Copy a run, and replace the content of one file, or delete the file."""
    copy = tmp_path / "copy"
    shutil.copytree(folder / run, copy)
    if content is None:
        (copy / file).unlink()
    else:
        (copy / file).write_bytes(content)
    return copy


def half(raw: bytes) -> bytes:
    """Return the first half of ``raw``."""
    return raw[: len(raw) // 2]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "truncated": half, "emptied": lambda raw: b"", "junk": lambda raw: b"\x00\xff junk", "gone": lambda raw: None,
    "an object": lambda raw: b"{}", "a list": lambda raw: b"[]", "null": lambda raw: b"null",
}  # fmt: skip  # fmt: skip


FILES_READ = {
    "language": ("config.json", "vocabulary.json", "model.safetensors", "result.json"),
    "texts": ("config.json", "vocabulary.json", "model.safetensors", "result.json"),
    "translate": ("vocabulary.json", "model.safetensors"),
    "steps": ("config.json", "scaler.json", "model.safetensors", "result.json"),
    "forecast": ("config.json", "scaler.json", "model.safetensors", "result.json", "baselines/ar.safetensors"),
}
"""The files of each run that are damaged."""


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("run", "file"), [(run, file) for run, files in FILES_READ.items() for file in files])
def test_damaged_run_folder_is_refused(
    folder: Path, tmp_path: Path, failure_of: Check, run: str, file: str, damage: str
) -> None:
    copy = damaged_copy(folder, tmp_path, run, file, DAMAGES[damage]((folder / run / file).read_bytes()))
    if damage == "gone" and file.startswith("baselines"):
        assert "ar" not in load(copy).evaluate(folder / "prices.csv")["baselines"]
        return
    previous = listing(copy)
    failure = failure_of("evaluate", copy, SOURCES[run])
    assert failure.code == 1
    assert str(copy) in failure.line
    assert file.removesuffix(".json") in failure.line or damage == "gone"
    if file == "result.json":
        assert failure_of("compare", copy, run).code == 1
    else:
        assert failure_of("evaluate", copy).code == 1
    assert listing(copy) == previous


def test_damaged_checkpoint_is_refused_on_resume(folder: Path, tmp_path: Path, failure_of: Check) -> None:
    file = "checkpoint/state.safetensors"
    copy = damaged_copy(folder, tmp_path, "language", file, half((folder / "language" / file).read_bytes()))
    (copy / "result.json").unlink()
    words = ["--epochs", 1, "--hidden", 4, "--baselines", "fast", "--out", copy, "--resume", "--quiet"]
    failure = failure_of("train", "language", "corpus.txt", *words)
    assert failure.code == 1
    assert f"{copy / file}: damaged" in failure.line


@pytest.mark.parametrize("word", ["corpus.txt", "folder", "taken", "nothere"])
def test_other_paths_are_no_run_folders(failure_of: Check, word: str) -> None:
    for words in (("evaluate", word), ("predict", word, "corpus.txt"), ("generate", word), ("compare", word, "texts")):
        failure = failure_of(*words)
        assert failure.code == 1
        assert failure.line.startswith(f"{word}: no ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2, "seriatim": "9.9"}, "format 2, but seriatim"),
        ({"format": 2, "seriatim": "9.9"}, "it was written by seriatim 9.9: upgrade"),
        ({"format": "one"}, "no format number, so this is not a run folder"),
        ({"colour": "red"}, "config.json: unknown key 'colour'"),
        ({"optoins": {}}, "unknown key 'optoins' (did you mean 'options'?)"),
        ({"task": "tasting"}, "no task 'tasting'"),
        ({"task": ["classify"]}, "damaged ('task' is ['classify'])"),
        ({"options": {"hiden": 4}}, "no option 'hiden' (did you mean 'hidden'?)"),
        ({"options": {"hidden": -4}}, "hidden: got -4, wanted at least 1"),
        ({"options": []}, "damaged ('options' is [])"),
        ({"data": {}}, "damaged (no 'source')"),
        ({"notes": None}, "damaged ('notes' is None)"),
    ],
)
def test_foreign_config_is_refused(
    folder: Path, tmp_path: Path, failure_of: Check, changes: dict[str, Any], message: str
) -> None:
    config = json.loads((folder / "texts" / "config.json").read_text())
    copy = damaged_copy(folder, tmp_path, "texts", "config.json", json.dumps(config | changes).encode())
    failure = failure_of("evaluate", copy, "messages.csv")
    assert failure.code == 1
    assert message in failure.line


@pytest.mark.parametrize("run", ["language", "texts", "forecast", "tag"])
@pytest.mark.parametrize("change", ["wider", "lacking", "more"])
def test_weights_that_do_not_fit_options_are_refused(
    folder: Path, tmp_path: Path, failure_of: Check, run: str, change: str
) -> None:
    arrays = read_arrays(folder / run / "model.safetensors")
    name = next(name for name in arrays if "weight_ih" in name)
    changed = {
        "wider": {**arrays, name: np.zeros((3, 3), np.float32)},
        "lacking": {key: array for key, array in arrays.items() if key != name},
        "more": {**arrays, "surprise": np.zeros(3, np.float32)},
    }[change]
    copy = damaged_copy(folder, tmp_path, run, "model.safetensors", safetensors.numpy.save(changed))
    failure = failure_of("predict", copy, SOURCES[run], "--use", "network")
    assert failure.code == 1
    assert "model.safetensors: does not fit the run's options" in failure.line


@pytest.mark.parametrize("change", ["lacking", "wider"])
@pytest.mark.parametrize("model", ["markov", "ar", "majority", "most_frequent_tag"])
def test_baseline_that_does_not_fit_is_refused(
    folder: Path, tmp_path: Path, failure_of: Check, model: str, change: str
) -> None:
    run = {"markov": "language", "ar": "forecast", "majority": "texts", "most_frequent_tag": "tag"}[model]
    file = f"baselines/{model}.safetensors"
    arrays = read_arrays(folder / run / file)
    name = next(iter(arrays))
    arrays[name] = np.zeros((2, 3, 4, 5))
    if change == "lacking":
        del arrays[name]
    copy = damaged_copy(folder, tmp_path, run, file, safetensors.numpy.save(arrays))
    failure = failure_of("evaluate", copy, SOURCES[run])
    assert failure.code == 1
    assert f"{model}.safetensors: does not fit the run's options" in failure.line
