"""MLflow on a local store; ``scripts/test-extras`` installs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import seriatim

mlflow = pytest.importorskip("mlflow", reason="mlflow is heavy; scripts/test-extras installs it")

pytestmark = pytest.mark.filterwarnings("default")  # MLflow's own libraries warn
TEXTS = (["the sun is warm", "the sea is cold"] * 30, ["warm", "cold"] * 30)
OPTIONS: Any = {"hidden": 4, "epochs": 4, "batch_size": 1, "baselines": "fast", "quiet": True}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of its own for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")


def test_rows_options_and_scores_are_logged(tmp_path: Path) -> None:
    run = seriatim.train("classify", TEXTS, out=tmp_path / "run", log="mlflow", **OPTIONS)
    (logged,) = mlflow.search_runs(experiment_names=["seriatim"], output_format="list")
    assert logged.data.params["hidden"] == "4" and logged.data.params["task"] == "classify"
    assert logged.info.status == "FINISHED" and logged.info.run_name == "run"
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    history = mlflow.MlflowClient().get_metric_history(logged.info.run_id, "valid_nll")
    assert [(metric.step, metric.value) for metric in history] == [(row["step"], row["valid_nll"]) for row in rows]
    assert logged.data.metrics["test_accuracy"] == run.result["scores"]["accuracy"]


def test_active_run_is_used_and_left_open(tmp_path: Path) -> None:
    with mlflow.start_run() as active:
        seriatim.train("classify", TEXTS, out=tmp_path / "run", log="mlflow", **OPTIONS)
        assert mlflow.active_run() is not None
    assert mlflow.get_run(active.info.run_id).data.metrics["test_accuracy"] >= 0


def test_resumed_training_continues_its_run(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        seriatim.train(
            "classify", TEXTS, out=tmp_path / "run", log="mlflow", on_validation=lambda row: 1 // 0, **OPTIONS
        )
    (failed,) = mlflow.search_runs(experiment_names=["seriatim"], output_format="list")
    assert failed.info.status == "FAILED"
    seriatim.train("classify", TEXTS, out=tmp_path / "run", log="mlflow", resume=True, **OPTIONS)
    (logged,) = mlflow.search_runs(experiment_names=["seriatim"], output_format="list")
    assert logged.info.run_id == failed.info.run_id and logged.info.status == "FINISHED"
