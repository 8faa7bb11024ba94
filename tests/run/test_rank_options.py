"""Options that several processes must agree on: all have the same weights, and a resumed training has the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import rank_cases
import seriatim
from rank_cases import CASES, COMMON, MIN_UPDATES, data_of
from seriatim.learning import training_end

pytestmark = pytest.mark.processes

WITHOUT_DRAWS = ("average-streams", "adaptive", "segment", "augment", "recompute")
"""Cases whose batches are the only random part, so that one process has the same weights."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of two processes that run all cases."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    rank_cases.make_files(folder)
    command = [sys.executable, rank_cases.__file__, str(folder)]
    variables = {**os.environ, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [subprocess.Popen(command, env={**variables, "RANK": str(rank)}) for rank in range(2)]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    return folder


@pytest.mark.parametrize("case", CASES)
def test_processes_agree_and_resumed_training_is_bit_equal(case: str, folder: Path) -> None:
    errors = [file.read_text()[-3000:] for file in (folder / case).glob("ERROR-*.txt")]
    assert not errors, errors[0]
    first, second = ((folder / case / f"RANK-{rank}.txt").read_text() for rank in range(2))
    assert first == second
    whole, resumed = ((folder / case / name / "model.safetensors").read_bytes() for name in ("whole", "resumed"))
    assert whole == resumed


@pytest.mark.parametrize("case", WITHOUT_DRAWS)
def test_one_process_has_the_same_weights(
    case: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a relative root mean square of 1e-4: the sums are rounded in another order, and Adam amplifies that."""
    monkeypatch.setattr(training_end, "MIN_UPDATES_BETWEEN_VALIDATIONS", MIN_UPDATES)
    task, _, options = CASES[case]
    seriatim.train(task, data_of(case, folder), out=tmp_path / "run", **{**COMMON, **options})
    expected = load_file(folder / case / "whole" / "model.safetensors")
    for name, actual in load_file(tmp_path / "run" / "model.safetensors").items():
        difference = actual.astype(np.float64) - expected[name]
        assert np.linalg.norm(difference) <= 1e-4 * np.linalg.norm(expected[name]), name
