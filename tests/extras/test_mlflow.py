"""MLflow on a local store; ``scripts/test-extras`` installs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import seriatim
from seriatim.errors import UsageError

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


def messages(folder: Path) -> Path:
    file = folder / "messages.csv"
    rows = "".join(f"the {thing} is {label},{label}\n" for thing, label in [("sun", "warm"), ("sea", "cold")] * 20)
    file.write_text("text,label\n" + rows)
    return file


def test_model_is_loaded_from_code_with_signature_and_example(tmp_path: Path) -> None:
    run = seriatim.train(
        "classify", messages(tmp_path), text="text", label="label", out=tmp_path / "run", log="mlflow", **OPTIONS
    )
    uri = run.log_mlflow()
    model = mlflow.pyfunc.load_model(uri)
    assert [column.name for column in model.metadata.signature.inputs] == ["text"]
    assert "label" in [column.name for column in model.metadata.signature.outputs]
    predicted = model.predict(pandas.DataFrame({"text": ["the sun is warm", "the sea"]}))
    expected = [row["probability"] for row in run.predict(["the sun is warm", "the sea"])]
    assert predicted["probability"].tolist() == expected
    assert len(mlflow.search_runs(experiment_names=["seriatim"], output_format="list")) == 1
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    assert not [file for file in folder.rglob("*") if file.suffix == ".pkl"]
    assert not (folder / "artifacts" / "run" / "checkpoint").exists()


def test_run_that_was_not_logged(tmp_path: Path) -> None:
    run = seriatim.train("classify", TEXTS, out=tmp_path / "run", **OPTIONS)
    with pytest.raises(UsageError, match="example: the run names no columns of a file"):
        run.log_mlflow()
    with mlflow.start_run() as active:
        uri = run.log_mlflow(example=pandas.DataFrame({"text": ["the sun"]}))
    assert mlflow.get_run(active.info.run_id).data.metrics["test_accuracy"] == run.result["scores"]["accuracy"]
    assert len(mlflow.pyfunc.load_model(uri).predict(pandas.DataFrame({"text": ["the sun"]}))) == 1


def test_forecasts_of_a_frame(tmp_path: Path) -> None:
    days = pandas.date_range("2024-01-01", periods=40).astype(str)
    parts = [pandas.DataFrame({"unique_id": name, "ds": days, "y": np.sin(np.arange(40))}) for name in "ab"]
    pandas.concat(parts).to_csv(tmp_path / "series.csv", index=False)
    run = seriatim.train(
        "forecast",
        tmp_path / "series.csv",
        model="naive",
        horizon=2,
        baselines="none",
        out=tmp_path / "run",
        quiet=True,
    )
    predicted = mlflow.pyfunc.load_model(run.log_mlflow()).predict(pandas.concat(parts))
    assert predicted["id"].tolist() == ["a", "a", "b", "b"] and predicted["time"].tolist()[:2] == [
        "2024-02-10",
        "2024-02-11",
    ]


def test_models_predict_on_the_command_line(tmp_path: Path) -> None:
    run = seriatim.train("classify", messages(tmp_path), text="text", label="label", out=tmp_path / "run", **OPTIONS)
    uri = run.log_mlflow()
    frame = {"dataframe_split": {"columns": ["text"], "data": [["the sun is warm"], ["the sea is cold"]]}}
    (tmp_path / "input.json").write_text(json.dumps(frame))
    command = [sys.executable, "-m", "mlflow", "models", "predict", "-m", uri, "-i", "input.json", "-o", "out.json"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    subprocess.run([*command, "--env-manager", "local"], check=True, timeout=300, cwd=tmp_path, env=environment)
    rows = json.loads((tmp_path / "out.json").read_text())["predictions"]
    assert [row["label"] for row in rows] == [
        row["label"] for row in run.predict(["the sun is warm", "the sea is cold"])
    ]
