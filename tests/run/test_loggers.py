"""Callbacks and experiment loggers of a training."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import seriatim
from seriatim.errors import MissingExtra, UsageError
from seriatim.learning.observer import Silent
from seriatim.run.loggers import registry
from seriatim.run.loggers.protocol import Logger, store_id, stored_id

TEXTS = (["the sun is warm", "the sea is cold"] * 30, ["warm", "cold"] * 30)
OPTIONS: Any = {"model": "gru", "hidden": 4, "epochs": 4, "batch_size": 1, "baselines": "fast", "quiet": True}
"""48 updates an epoch, so each second epoch ends with a validation."""


class Recorder(Logger):
    """A logger that records its calls. ``fault`` names a call that fails."""

    fault = ""
    last: Recorder

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        type(self).last = self

    def begin(self, folder: Path, settings: Mapping[str, object]) -> None:
        self._record("begin", settings)

    def row(self, row: Mapping[str, float]) -> None:
        self._record("row", row)

    def end(self, result: Mapping[str, Any] | None) -> None:
        self._record("end", result)

    def _record(self, name: str, value: object) -> None:
        self.calls.append((name, value))
        if name == self.fault:
            raise ConnectionError("the server is gone")


class Notes(Silent):
    """An observer that collects notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(Recorder, "fault", "")
    monkeypatch.setitem(registry.LOGGERS, "mlflow", (__name__, "Recorder"))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Recorder.__module__])
    return Recorder


def rows_of(run: seriatim.Run) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def test_callback_gets_the_rows_and_ends_the_training(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    run = seriatim.train("classify", TEXTS, out=tmp_path / "all", on_validation=lambda row: rows.append(row), **OPTIONS)
    assert rows == rows_of(run) and len(rows) == 2
    run = seriatim.train("classify", TEXTS, out=tmp_path / "one", on_validation=lambda row: True, **OPTIONS)
    assert rows_of(run)[0]["valid_nll"] == rows[0]["valid_nll"]
    assert len(rows_of(run)) == 1 and run.result["epochs"] == 2 and run.result["baselines"]


def test_error_of_a_callback_leaves_a_training_to_resume(tmp_path: Path) -> None:
    def fail(row: Mapping[str, float]) -> bool:
        raise KeyError("no such thing")

    with pytest.raises(KeyError):
        seriatim.train("classify", TEXTS, out=tmp_path / "run", on_validation=fail, **OPTIONS)
    assert not (tmp_path / "run" / "result.json").exists()
    resumed = seriatim.train("classify", TEXTS, out=tmp_path / "run", resume=True, **OPTIONS)
    whole = seriatim.train("classify", TEXTS, out=tmp_path / "whole", **OPTIONS)
    assert resumed.result["scores"] == whole.result["scores"]


def test_logger_gets_options_rows_and_result(recorder: type[Recorder], tmp_path: Path) -> None:
    run = seriatim.train("classify", TEXTS, out=tmp_path / "run", log="mlflow", **OPTIONS)
    calls = recorder.last.calls
    assert [name for name, _ in calls] == ["begin", "row", "row", "end"]
    assert calls[0][1]["task"] == "classify" and calls[0][1]["hidden"] == 4 and "out" not in calls[0][1]
    assert [row for name, row in calls if name == "row"] == rows_of(run)
    assert calls[-1][1]["scores"] == run.result["scores"]


@pytest.mark.parametrize("fault", ["row", "end"])
def test_training_survives_a_logger(recorder: type[Recorder], fault: str, tmp_path: Path) -> None:
    recorder.fault = fault
    notes = Notes()
    run = seriatim.train("classify", TEXTS, out=tmp_path / "run", log="mlflow", observer=notes, **OPTIONS)
    assert run.result["scores"] and sum("the server is gone" in note for note in notes.notes) == 1


def test_logger_that_cannot_begin_ends_the_training_early(recorder: type[Recorder], tmp_path: Path) -> None:
    recorder.fault = "begin"
    with pytest.raises(ConnectionError):
        seriatim.train("classify", TEXTS, out=tmp_path / "run", log="mlflow", **OPTIONS)


def test_logger_is_told_of_a_failed_training(recorder: type[Recorder], tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        seriatim.train(
            "classify", TEXTS, out=tmp_path / "run", log="mlflow", on_validation=lambda row: 1 // 0, **OPTIONS
        )
    assert recorder.last.calls[-1] == ("end", None)


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "seriatim.run.loggers.weights_and_biases", raising=False)
    with pytest.raises(MissingExtra, match=r"--log wandb needs an extra: pip install 'seriatim\[wandb\]'"):
        seriatim.train("classify", TEXTS, out=tmp_path / "run", log="wandb", **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_unknown_logger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="log: 'tensorbord' is not one of tensorboard, wandb, mlflow"):
        seriatim.train("classify", TEXTS, out=tmp_path / "run", log="tensorbord", **OPTIONS)


def test_identity_of_a_run_is_kept(tmp_path: Path) -> None:
    assert stored_id(tmp_path, "wandb") is None
    store_id(tmp_path, "wandb", "a1")
    store_id(tmp_path, "mlflow", "b2")
    assert (stored_id(tmp_path, "wandb"), stored_id(tmp_path, "mlflow")) == ("a1", "b2")


def test_tensorboard_has_every_number(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = seriatim.train("classify", TEXTS, out=tmp_path / "run", log="tensorboard", **OPTIONS)
    events = accumulator.EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    for name in ("train_loss", "valid_nll", "gradient_norm"):
        expected = [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in rows_of(run)]
        assert [(event.step, event.value) for event in events.Scalars(name)] == expected
    (score,) = events.Scalars("test_accuracy_majority")
    assert score.value == pytest.approx(run.result["baselines"]["majority"]["accuracy"])


def test_no_logger_is_imported_unless_asked(tmp_path: Path) -> None:
    code = f"""
import sys, seriatim
seriatim.train("classify", {TEXTS!r}, out={str(tmp_path / "run")!r}, **{OPTIONS!r})
sys.exit(str({{"tensorboard", "wandb", "mlflow", "optuna"}} & set(sys.modules)).replace("set()", "") or 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
