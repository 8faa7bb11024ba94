"""One flag, other networks: each trains, is kept, comes back and predicts in the tasks that take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seriatim
from seriatim.models.options import NETWORKS, STREAMING, defaults_of
from seriatim.options import fill
from seriatim.tasks.registry import NAMES, find_task

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 1, "baselines": "none", "quiet": True, "threads": 1}
NEW = tuple(name for name in NETWORKS if name not in ("rnn", "lstm", "gru"))


def table(folder: Path) -> Path:
    """Rows that are examples, and steps of a series."""
    draw = np.random.default_rng(0)
    rows = [f"{draw.normal():.4f},{draw.normal() + place % 2:.4f},{'ab'[place % 2]}" for place in range(60)]
    file = folder / "rows.csv"
    file.write_text("x,y,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return file


def again(run: seriatim.Run, data: object) -> list[dict[str, Any]]:
    """Predictions, the same from the run and from its folder."""
    predicted = list(run.predict(data))
    assert list(seriatim.load(run.path).predict(data)) == predicted
    return predicted


@pytest.mark.parametrize("model", NEW)
def test_forecast(model: str, tmp_path: Path) -> None:
    file = table(tmp_path)
    given = {"target": ("x", "y"), "horizon": 2, "lookback": 5, **SMALL}
    for strategy in ("direct", "recursive") if model in STREAMING else ("direct",):
        out = str(tmp_path / strategy)
        run = seriatim.train("forecast", file, model=model, strategy=strategy, out=out, **given)
        assert len(again(run, file)) == 1


@pytest.mark.parametrize("model", [name for name in NEW if name in STREAMING])
def test_language(model: str, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("so it goes, so it goes. " * 40, encoding="utf-8")
    run = seriatim.train(
        "language", text, model=model, truncation=10, batch_size=4, tie=True, out=str(tmp_path / "run"), **SMALL
    )
    assert len(again(run, text)) == 1
    written = ["".join(run.generate("so ", length=9, seed=0)) for _ in range(2)]
    assert written[0] == written[1] and len(written[0]) == 9


@pytest.mark.parametrize("model", NEW)
def test_classify(model: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    inputs = [draw.normal(size=(length, 2)) for length in draw.integers(1, 9, 40)]
    labels = ["ab"[place % 2] for place in range(40)]
    run = seriatim.train("classify", (inputs, labels), model=model, out=str(tmp_path / "run"), **SMALL)
    assert len(again(run, inputs)) == 40


def test_each_row_of_a_table_is_an_example_of_a_feed_forward_network(tmp_path: Path) -> None:
    file, out = table(tmp_path), str(tmp_path / "run")
    run = seriatim.train("classify", file, model="mlp", channels=("x", "y"), label="label", out=out, **SMALL)
    assert len(again(run, file)) == 60
    with pytest.raises(seriatim.UsageError, match="id: --channels needs --id"):
        seriatim.train("classify", file, model="lstm", channels=("x", "y"), label="label", **SMALL)


def test_a_models_own_defaults_go_before_the_tasks_and_after_what_was_asked(tmp_path: Path) -> None:
    file, given = table(tmp_path), {"target": ("x",), "horizon": 2, "lookback": 5, **SMALL}
    plain = seriatim.train("forecast", file, model="transformer", out=str(tmp_path / "plain"), **given)
    assert (plain.options.layers, plain.options.warmup) == (2, 200)
    asked = seriatim.train("forecast", file, model="transformer", layers=1, out=str(tmp_path / "asked"), **given)
    assert (asked.options.layers, asked.options.warmup) == (1, 200)
    lstm = seriatim.train("forecast", file, out=str(tmp_path / "lstm"), **given)
    assert (lstm.options.layers, lstm.options.warmup) == (1, 0)


@pytest.mark.parametrize("task", NAMES)
def test_a_baseline_is_trained_the_same_way_beside_every_model(task: str) -> None:
    kind = find_task(task)
    for name in kind.neural_baselines:
        warm, cold = (
            kind.baseline_options(fill(kind.options, {"model": model, **defaults_of(model)}), name)
            for model in ("transformer", "lstm")
        )
        assert warm.warmup == cold.warmup == 0
