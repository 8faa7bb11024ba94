"""Training that diverges, and forecasts that are not finite."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bad_input.files import QUICK
from seriatim.cli.app import run as run_command
from seriatim.run import load
from seriatim.storage import read_arrays

LANGUAGE = ("train", "language")
FORECAST = ("train", "forecast")
CLOSE = ("--time", "date", "--target", "close", "--horizon", "4", "--lookback", "12")


@pytest.mark.parametrize(
    ("words", "data"),
    [
        ((*LANGUAGE, "corpus.txt", "--model", "rnn", "--activation", "relu"), "corpus.txt"),
        ((*FORECAST, "prices.csv", *CLOSE, "--model", "rnn", "--activation", "relu"), "prices.csv"),
    ],
)
def test_loss_that_is_not_finite_ends_training(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    data: str,
) -> None:
    monkeypatch.chdir(folder)
    out = tmp_path / "run"
    words += ("--hidden", "4", "--optimizer", "sgd", "--clip", "0", "--lr", "9e9", "--epochs", "60", "--threads", "1")
    words += ("--baselines", "none", "--quiet", "--out", str(out))
    code = run_command([str(word) for word in words])
    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "")
    (line,) = captured.err.splitlines()
    assert " at step " in line and "training stopped" in line and "try a lower --lr (now 9e+09)" in line
    run = load(out)
    weights = read_arrays(out / "model.safetensors")
    assert weights and all(np.isfinite(array).all() for array in weights.values())
    assert list(run.predict(data))
    assert not list(out.rglob("*.part"))


def test_score_that_is_not_finite_is_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finite weights can still give forecasts that overflow, and JSON has no word for such a score."""
    scores = {"mase": float("inf"), "rmse": float("nan"), "mae": 1.0}
    monkeypatch.setattr("seriatim.tasks.forecast.Forecast.score", lambda *arguments: scores)
    words = (*FORECAST, folder / "prices.csv", *CLOSE, *QUICK[:4], "--blend", "none", "--quiet", "--json", "--out")
    assert run_command([str(word) for word in (*words, tmp_path / "run")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["scores"] == {"mae": 1.0}
    assert load(tmp_path / "run").verdict() == "lstm has no mase to compare"
