"""Each network of ``--model`` trains, is saved, is loaded and predicts, in all tasks that accept it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seriatim
from seriatim.models.options import NETWORKS, SEQUENCE_NETWORKS, STREAMING, defaults_of
from seriatim.options import fill
from seriatim.tasks.registry import NAMES, find_task

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 1, "baselines": "none", "quiet": True, "threads": 1}
NEW = tuple(name for name in NETWORKS if name not in ("rnn", "lstm", "gru"))


def table(folder: Path) -> Path:
    """A table whose rows are examples, or steps of a series."""
    draw = np.random.default_rng(0)
    rows = [f"{draw.normal():.4f},{draw.normal() + place % 2:.4f},{'ab'[place % 2]}" for place in range(60)]
    file = folder / "rows.csv"
    file.write_text("x,y,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return file


def loaded(run: seriatim.Run, data: object) -> list[dict[str, Any]]:
    """Return the predictions of the run, after comparing them with those of the loaded run folder."""
    predicted = list(run.predict(data))
    assert list(seriatim.load(run.path).predict(data)) == predicted
    return predicted


@pytest.mark.parametrize("model", NEW)
def test_forecast(model: str, tmp_path: Path) -> None:
    file = table(tmp_path)
    arguments = {"target": ("x", "y"), "horizon": 2, "lookback": 5, **SMALL}
    for strategy in ("direct", "recursive") if model in STREAMING else ("direct",):
        out = str(tmp_path / strategy)
        run = seriatim.train("forecast", file, model=model, strategy=strategy, out=out, **arguments)
        assert len(loaded(run, file)) == 1


@pytest.mark.parametrize("model", [name for name in NEW if name in STREAMING])
def test_language(model: str, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("so it goes, so it goes. " * 40, encoding="utf-8")
    run = seriatim.train(
        "language", text, model=model, truncation=10, batch_size=4, tie=True, out=str(tmp_path / "run"), **SMALL
    )
    assert len(loaded(run, text)) == 1
    texts = ["".join(run.generate("so ", length=9, seed=0)) for _ in range(2)]
    assert texts[0] == texts[1] and len(texts[0]) == 9


@pytest.mark.parametrize("model", [name for name in SEQUENCE_NETWORKS if name not in ("rnn", "lstm", "gru")])
def test_classify(model: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    inputs = [draw.normal(size=(length, 2)) for length in draw.integers(1, 9, 40)]
    labels = ["ab"[place % 2] for place in range(40)]
    run = seriatim.train("classify", (inputs, labels), model=model, out=str(tmp_path / "run"), **SMALL)
    assert len(loaded(run, inputs)) == 40


def test_lstm_fcn_regresses_and_has_the_options_of_its_lstm(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    inputs = [draw.normal(size=(length, 2)) for length in draw.integers(1, 9, 40)]
    out, targets = str(tmp_path / "run"), draw.normal(size=40).tolist()
    run = seriatim.train(
        "regress", (inputs, targets), model="lstm_fcn", bidirectional=True, peephole=True, out=out, **SMALL
    )
    assert len(loaded(run, inputs)) == 40
    assert run.network.network.stack.directions == 2


@pytest.mark.parametrize("task", NAMES)
def test_lstm_fcn_is_for_classify_and_regress(task: str) -> None:
    options = find_task(task).options
    if task in ("classify", "regress"):
        assert fill(options, {"model": "lstm_fcn"}).model == "lstm_fcn"
    else:
        with pytest.raises(seriatim.UsageError, match="model: 'lstm_fcn' is not one of rnn, lstm, gru"):
            fill(options, {"model": "lstm_fcn"})


@pytest.mark.parametrize("task", ["classify", "regress"])
@pytest.mark.parametrize(
    ("options", "are_texts", "message"),
    [
        ({"model": "lstm_fcn"}, True, "model: lstm_fcn reads numbers or sound, and the data are texts"),
        ({"model": "rocket"}, True, "model: rocket reads numbers or sound, and the data are texts"),
        ({"model": "tfidf"}, False, "model: tfidf reads texts, and the data are numbers or sound"),
        ({"word_dropout": 0.1}, False, "word_dropout: for texts, not numbers or sound"),
        ({"model": "lstm_fcn", "word_dropout": 0.1}, False, "word_dropout: for texts, not numbers or sound"),
    ],
)
def test_unsuitable_form_of_data_is_refused_before_anything_is_written(
    task: str, options: dict[str, Any], are_texts: bool, message: str, tmp_path: Path
) -> None:
    inputs = ["so it goes", "it went"] * 20 if are_texts else [np.eye(3)] * 40
    labels: list[Any] = ["a", "b"] * 20 if task == "classify" else [0.5, 1.5] * 20
    with pytest.raises(seriatim.UsageError, match=message):
        seriatim.train(task, (inputs, labels), out=str(tmp_path / "run"), **SMALL | options)
    assert not (tmp_path / "run").exists()


def test_mlp_reads_each_table_row_as_an_example(tmp_path: Path) -> None:
    file, out = table(tmp_path), str(tmp_path / "run")
    run = seriatim.train("classify", file, model="mlp", channels=("x", "y"), label="label", out=out, **SMALL)
    assert len(loaded(run, file)) == 60
    with pytest.raises(seriatim.UsageError, match="id: --channels needs --id"):
        seriatim.train("classify", file, model="lstm", channels=("x", "y"), label="label", **SMALL)


def test_model_defaults_override_task_defaults_but_not_options(tmp_path: Path) -> None:
    file, arguments = table(tmp_path), {"target": ("x",), "horizon": 2, "lookback": 5, **SMALL}
    plain_row = seriatim.train("forecast", file, model="transformer", out=str(tmp_path / "plain"), **arguments)
    assert (plain_row.options.layers, plain_row.options.warmup) == (2, 200)
    request = seriatim.train("forecast", file, model="transformer", layers=1, out=str(tmp_path / "asked"), **arguments)
    assert (request.options.layers, request.options.warmup) == (1, 200)
    lstm = seriatim.train("forecast", file, out=str(tmp_path / "lstm"), **arguments)
    assert (lstm.options.layers, lstm.options.warmup) == (1, 0)


@pytest.mark.parametrize("task", NAMES)
def test_baseline_options_do_not_depend_on_model(task: str) -> None:
    implementation = find_task(task)
    for name in implementation.neural_baselines:
        warm, cold = (
            implementation.baseline_options(fill(implementation.options, {"model": model, **defaults_of(model)}), name)
            for model in ("transformer", "lstm")
        )
        assert warm.warmup == cold.warmup == 0
