"""``Run.inspect`` of a small run of every task that it measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import seriatim
from seriatim.errors import DataError, UsageError
from seriatim.run.inspection.inspect import check_inspectable
from seriatim.tasks.options import LanguageOptions

pytestmark = pytest.mark.slow

QUICK = {"model": "lstm", "hidden": 8, "epochs": 2, "quiet": True, "threads": 1}
STATUSES = {"ok", "warning", "fault", "unknown"}


def texts(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    file = folder / "text.txt"
    file.write_text("".join(generator.choice(list("abcd "), 4000)), encoding="utf-8")
    return file


def series(folder: Path) -> Path:
    steps = np.arange(300)
    values = np.sin(steps * 2 * np.pi / 12) + 0.1 * np.random.default_rng(0).standard_normal(300)
    file = folder / "series.csv"
    file.write_text("y\n" + "\n".join(f"{value:.4f}" for value in values), encoding="utf-8")
    return file


def sequences(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    lines = ["id,a,b,label,size"]
    for number in range(80):
        label = number % 2
        for a, b in generator.standard_normal((10, 2)):
            lines.append(f"{number},{a + 2 * label:.3f},{b:.3f},{'yes' if label else 'no'},{label + 0.5}")
    file = folder / "sequences.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


TASKS = {
    "language": (texts, {"truncation": (20,), "batch_size": 4}),
    "forecast": (series, {"target": ("y",), "horizon": 4, "lookback": 24, "season": 12}),
    "classify": (sequences, {"channels": ("a", "b"), "id": "id", "label": "label"}),
    "regress": (sequences, {"channels": ("a", "b"), "id": "id", "target": "size"}),
}


@pytest.mark.parametrize("task", TASKS)
def test_inspect_measures_and_reports(task: str, tmp_path: Path) -> None:
    make, options = TASKS[task]
    file = make(tmp_path)
    run = seriatim.train(task, file, out=tmp_path / "run", **QUICK, **options)
    scores = json.dumps(run.evaluate()["scores"])
    result = run.inspect()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert set(result) == {"run", "horizons", "verdict", "checks"}
    assert result["verdict"].startswith("the model looks ")
    assert result["horizons"]["truncation"] == {"language": 20, "forecast": 24}.get(task, 10)
    for check in result["checks"]:
        assert set(check) == {"name", "status", "value", "condition", "evidence", "advice", "confidence"}
        assert check["status"] in STATUSES
        assert bool(check["advice"]) == (check["status"] in ("warning", "fault"))
    measured = {check["name"] for check in result["checks"] if check["status"] != "unknown"}
    assert {"exploding_gradient", "gates_open", "saturation", "baselines"} <= measured
    assert "</html>" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert json.dumps(run.evaluate()["scores"]) == scores
    assert run.inspect() == result


def test_inspect_measures_other_data(tmp_path: Path) -> None:
    run = seriatim.train("language", texts(tmp_path), out=tmp_path / "run", **QUICK, truncation=(20,), batch_size=4)
    other = tmp_path / "other.txt"
    other.write_text("abcd" * 500, encoding="utf-8")
    assert run.inspect(other)["horizons"]["data"] > run.inspect()["horizons"]["data"]


@pytest.mark.parametrize("model", ["transformer", "cnn", "mlp", "gru", "seasonal_naive"])
def test_every_model_can_be_inspected(model: str, tmp_path: Path) -> None:
    make, options = TASKS["forecast"]
    run = seriatim.train("forecast", make(tmp_path), out=tmp_path / "run", **{**QUICK, "model": model}, **options)
    result = run.inspect()
    looks = result["horizons"]["gradient"]
    assert (looks is None) == (model in ("mlp", "seasonal_naive"))
    assert result["horizons"]["data"] is not None


def test_recursive_forecaster_can_be_inspected(tmp_path: Path) -> None:
    make, options = TASKS["forecast"]
    run = seriatim.train("forecast", make(tmp_path), out=tmp_path / "run", **QUICK, **options, strategy="recursive")
    assert run.inspect()["horizons"]["gradient"] > 0


def test_bidirectional_classifier_has_no_direction_to_look_in(tmp_path: Path) -> None:
    make, options = TASKS["classify"]
    run = seriatim.train("classify", make(tmp_path), out=tmp_path / "run", **QUICK, **options, bidirectional=True)
    assert "both directions" in run.inspect()["verdict"]


@pytest.mark.parametrize("task", TASKS)
def test_smallest_data_can_be_inspected(task: str, tmp_path: Path) -> None:
    """The fewest rows that can be trained on: nothing may fail, and what cannot be measured is unknown."""
    file = tmp_path / ("text.txt" if task == "language" else "table.csv")
    if task == "language":
        file.write_text("ab" * 20, encoding="utf-8")
    elif task == "forecast":
        file.write_text("y\n" + "\n".join("111213141"), encoding="utf-8")
    else:
        lines = [f"{n},{n % 2},1,{'ab'[n % 2]},{n}" for n in range(24)]
        file.write_text("\n".join(["id,a,b,label,size", *lines]), encoding="utf-8")
    options = {"batch_size": 2} if task == "language" else {**TASKS[task][1]}
    options |= {"horizon": 1, "lookback": 2, "season": 1} if task == "forecast" else {}
    run = seriatim.train(task, file, out=tmp_path / "run", **QUICK, **options)
    assert json.dumps(run.inspect(), allow_nan=False)


def test_run_that_exploded_can_be_inspected(tmp_path: Path) -> None:
    """JSON has no infinity: what is not finite becomes None."""
    make, options = TASKS["forecast"]
    options = {**options, "model": "rnn", "activation": "relu", "clip": 0.0, "normalize": "none"}
    run = seriatim.train("forecast", make(tmp_path), out=tmp_path / "run", **{**QUICK, **options})
    with torch.no_grad():
        for name, parameter in run.network.named_parameters():
            if "weight_hh" in name:
                parameter.mul_(1e6)
    result = run.inspect()
    assert json.dumps(result, allow_nan=False)
    (check,) = (check for check in result["checks"] if check["name"] == "exploding_gradient")
    assert check["status"] == "fault"


def test_new_data_with_unseen_labels(tmp_path: Path) -> None:
    """Sequences of unknown classes are left out; without any others there is nothing to measure."""
    make, options = TASKS["classify"]
    file = make(tmp_path)
    run = seriatim.train("classify", file, out=tmp_path / "run", **{**QUICK, **options})
    new = tmp_path / "new.csv"
    lines = file.read_text().splitlines()
    new.write_text("\n".join(line.replace("yes", "maybe") if line.startswith("7") else line for line in lines))
    known = tmp_path / "known.csv"
    known.write_text("\n".join(line for line in lines if not (line.startswith("7") and "yes" in line)))
    assert run.inspect(new)["horizons"] == run.inspect(known)["horizons"]
    new.write_text("\n".join(line.replace("yes", "maybe").replace(",no,", ",never,") for line in lines))
    with pytest.raises(DataError, match="inspect: none of the labels of these data is in the training part"):
        run.inspect(new)


def test_piano_rolls_are_refused() -> None:
    options = LanguageOptions(unit="roll")
    with pytest.raises(UsageError, match="this one reads piano rolls"):
        check_inspectable("language", options)


def test_task_without_measures_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tagged.tsv"
    file.write_text("\n\n".join("the\tD\ncat\tN" for _ in range(20)), encoding="utf-8")
    run = seriatim.train("tag", file, out=tmp_path / "run", **QUICK, baselines="none")
    with pytest.raises(UsageError, match="inspect: for language, forecast, classify, regress runs; this is a tag run"):
        run.inspect()
