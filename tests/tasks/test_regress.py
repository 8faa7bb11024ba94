"""Regression from a table to scores: targets of sequences and of steps, caps, lookback, and fields of predictions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.notation import QUANTILES
from seriatim.run.fitting import fit
from seriatim.tasks.options import RegressOptions
from seriatim.tasks.regress import Regress, predictions, scores

TASK = Regress()
OPTIONS = RegressOptions(hidden=8, epochs=3, batch_size=8, lr=2e-2)
STEPWISE = dataclasses.replace(OPTIONS, channels=("a", "b"), id="id", target="left", every_step=True)


def sums(rows: int = 80) -> tuple[list[Any], list[float]]:
    """Sequences of 3 to 6 numbers, and the sum of each."""
    draw = np.random.default_rng(0)
    arrays = [draw.normal(size=(draw.integers(3, 7), 1)) for _ in range(rows)]
    return arrays, [10 + 5 * float(array.sum()) for array in arrays]


def engines(count: int = 12, last_only: bool = False) -> list[dict[str, object]]:
    """Engines of 5 to 9 steps each. ``left`` is the number of remaining steps."""
    draw = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    for engine in range(count):
        steps = int(draw.integers(5, 10))
        for step in range(steps):
            steps_left = None if last_only and step < steps - 1 else steps - 1 - step + (3 if last_only else 0)
            rows.append({"id": f"e{engine}", "a": step / 10, "b": float(draw.normal()), "left": steps_left})
    return rows


def fit_model(source: object, options: RegressOptions = OPTIONS, **arguments: Any) -> tuple[Any, Any]:
    options = dataclasses.replace(options, **arguments)
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared


@pytest.mark.parametrize(("model", "learns"), [("gru", True), ("mean", False)])
def test_network_learns(model: str, learns: bool) -> None:
    network, prepared = fit_model(sums(120), model=model, epochs=15)
    result = TASK.score(network, OPTIONS, prepared.codec, prepared.test)
    spread = float(np.std(prepared.test.targets))
    assert (result["rmse"] < spread / 3) == learns
    assert set(result) == {"rmse", "mae", "quantile_loss", "coverage"}


@pytest.mark.parametrize("least", [1, 50])
def test_training_without_epochs_ends_after_four_epochs_or_the_least_number_of_updates(
    least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seriatim.tasks.regress.LEAST_UPDATES", least)
    options = dataclasses.replace(OPTIONS, epochs=None)
    assert options.schedule == "cosine"
    prepared = TASK.prepare(options, sums())
    batches = -(-prepared.sizes["train"] // OPTIONS.batch_size)
    outcome = fit(TASK, TASK.make(options, prepared.codec), options, prepared, NullStore(), Silent())
    assert outcome.steps == max(4 * batches, least)


def test_regression_of_texts() -> None:
    words = ["no", "yes"]
    texts = [" ".join(words[bit] for bit in bits) for bits in np.random.default_rng(0).integers(0, 2, (80, 3))]
    network, prepared = fit_model((texts, [text.count("yes") for text in texts]), model="lstm", epochs=20)
    assert TASK.score(network, OPTIONS, prepared.codec, prepared.test)["rmse"] < 0.4
    assert TASK.word_corpus(prepared) is not None and TASK.codec_file(prepared.codec) == "vocabulary.json"


def test_scores_by_hand() -> None:
    predicted = np.array([[1.0, 0.0, 1.0, 2.0], [5.0, 3.0, 4.0, 6.0]])
    result = scores(predicted, np.array([2.0, 8.0]))
    assert result["rmse"] == pytest.approx(np.sqrt((1 + 9) / 2))
    assert result["mae"] == pytest.approx((1 + 4) / 2)
    assert result["coverage"] == 0.5
    assert result["quantile_loss"] == pytest.approx(np.mean([0.2, 0.5, 0.0, 0.5, 2.0, 1.8]))


def test_mean_baseline_by_hand() -> None:
    network, prepared = fit_model(sums(), model="mean")
    targets = prepared.train.targets
    (row, *_) = TASK.predict(network, OPTIONS, prepared.codec, [np.ones(3)])
    assert row["prediction"] == pytest.approx(targets.mean())
    assert list(row["quantiles"].values()) == pytest.approx(np.quantile(targets, QUANTILES).tolist())


def test_every_step_makes_examples_of_growing_length() -> None:
    rows = engines()
    prepared = TASK.prepare(STEPWISE, rows)
    assert sum(prepared.sizes.values()) == len(rows)
    whole = {row["id"]: [] for row in rows}  # type: ignore[var-annotated]
    for row in rows:
        whole[row["id"]].append([row["a"], row["b"]])
    scaler = prepared.codec.inputs.scaler
    for values, target, step in zip(prepared.train.inputs, prepared.train.targets, prepared.train.steps, strict=True):
        assert len(values) == step
        scaled = [scaler.transform(np.array(values)) for values in whole.values()]
        (engine,) = (
            sequence for sequence in scaled if len(sequence) >= step and np.allclose(sequence[:step], values, atol=1e-5)
        )
        assert target == len(engine) - step
    ends = [len(part.inputs) for part in (prepared.train, prepared.valid, prepared.test)]
    sides = [set(map(float, part.inputs[index][0])) for part in (prepared.train, prepared.test) for index in (0, -1)]
    assert min(ends) > 0 and sides[0] != sides[2], "an id stays on one side"
    assert np.shares_memory(prepared.train.inputs[0], prepared.train.inputs[1]), "examples are views"


def test_lookback_limits_steps() -> None:
    rows = engines()
    short, whole = (
        TASK.prepare(dataclasses.replace(STEPWISE, lookback=lookback), rows).train for lookback in (3, None)
    )
    for array, whole_array in zip(short.inputs, whole.inputs, strict=True):
        np.testing.assert_array_equal(array, whole_array[-3:])
    arrays = TASK.prepare(dataclasses.replace(OPTIONS, lookback=2), sums())
    assert {len(array) for array in arrays.train.inputs} == {2}


def test_rows_without_target_are_only_inputs() -> None:
    rows = engines(last_only=True)
    prepared = TASK.prepare(STEPWISE, rows)
    assert sum(prepared.sizes.values()) == 12 and set(prepared.train.targets) == {3.0}
    assert min(len(array) for array in prepared.train.inputs) >= 5


def test_target_cap_applies_to_all_parts_and_gives_a_note() -> None:
    prepared = TASK.prepare(dataclasses.replace(STEPWISE, target_cap=4.0), engines())
    for part in (prepared.train, prepared.valid, prepared.test):
        assert part.targets.max() == 4.0
    count = len(prepared.test)
    assert prepared.notes[-1].startswith("test: ")
    assert prepared.notes[-1].endswith(f" of {count} targets are above the cap and count as 4")


def test_target_scaler_is_fitted_on_training_part() -> None:
    prepared = TASK.prepare(OPTIONS, sums())
    assert prepared.train.scaled.mean() == pytest.approx(0, abs=1e-5)
    assert prepared.train.scaled.std() == pytest.approx(1, abs=1e-5)
    assert abs(prepared.test.scaled.mean()) > 1e-3
    loaded = TASK.codec_from_json(json.loads(json.dumps(prepared.codec.to_json())))
    assert loaded.to_json() == prepared.codec.to_json() and TASK.codec_file(loaded) == "scaler.json"


def test_predictions_do_not_depend_on_batch() -> None:
    network, prepared = fit_model(sums())
    part = prepared.test
    batched = predictions(network, prepared.codec, part)
    single = np.concatenate(
        [
            predictions(network, prepared.codec, dataclasses.replace(part, inputs=[array], targets=part.targets[:1]))
            for array in part.inputs
        ]
    )
    scale = np.abs(batched).max()  # a small prediction is a difference of large numbers
    np.testing.assert_allclose(single, batched, rtol=1e-5, atol=1e-6 * scale)
    assert (np.diff(batched[:, 1:], axis=1) > 0).all()


def test_fields_of_a_prediction() -> None:
    rows = engines(3)
    network, prepared = fit_model(engines(), STEPWISE, model="gru")
    result = list(TASK.predict(network, STEPWISE, prepared.codec, [dict(row, left=None) for row in rows]))
    assert [(row["row"], row["id"]) for row in result] == [(at, step["id"]) for at, step in enumerate(rows, 1)]
    assert [row["step"] for row in result][:3] == [1, 2, 3]
    assert set(result[0]) == {"row", "id", "step", "prediction", "quantiles"}
    bare = [{key: row[key] for key in ("id", "a", "b")} for row in rows]
    assert list(TASK.predict(network, STEPWISE, prepared.codec, bare)) == result, "no column of the target is needed"
    (flat,) = TASK.csv_rows(result[0])
    assert set(flat) == {"row", "id", "step", "prediction", "quantiles_0.1", "quantiles_0.5", "quantiles_0.9"}


def test_ts_archive_with_numeric_targets(tmp_path: Path) -> None:
    file = tmp_path / "x.ts"
    lines = [f"{row % 7},{row % 5}:1,{row % 3}:{row}.5\n" for row in range(40)]
    file.write_text("@targetLabel true\n@data\n" + "".join(lines))
    prepared = TASK.prepare(OPTIONS, file)
    assert prepared.sizes == {"train": 32, "valid": 4, "test": 4} and prepared.codec.inputs.size().channels == 2
    file.write_text("@classLabel true a\n@data\n1,2:a\n")
    with pytest.raises(DataError, match="line 1: a class is not a number, wanted @targetLabel"):
        TASK.prepare(OPTIONS, file)
    file.write_text("@targetLabel true\n@data\n1,2:1\n1,2:inf\n")
    with pytest.raises(DataError, match="line 4: target 'inf' is not a finite number"):
        TASK.prepare(OPTIONS, file)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (([[1.0], [2.0]], [1.0]), r"data: targets of shape \(1,\), wanted \(2,\)"),
        (([[1.0], [2.0]], ["a", "b"]), "data: y is not an array of numbers"),
        (([[1.0], [2.0]], [1.0, np.nan]), "data item 2: target: missing value"),
        ([[1.0], [2.0]], "data: no targets"),
        (([[1.0], [2.0]], [1.0, 2.0]), "valid part: no sequences; too little data"),
    ],
)
def test_unusable_data_in_memory_are_refused(source: object, error: str) -> None:
    with pytest.raises(DataError, match=error):
        TASK.prepare(OPTIONS, source)


def test_changing_target_is_refused_without_every_step() -> None:
    error = r"row 2, column 'left': \d, but \d before in the same sequence; --every-step makes each row an example"
    with pytest.raises(DataError, match=error):
        TASK.prepare(dataclasses.replace(STEPWISE, every_step=False), engines())
    with pytest.raises(DataError, match="row 1, column 'left': no target, 2 in all"):
        TASK.prepare(STEPWISE, [{"id": 1, "a": 1.0, "b": 2.0, "left": None}] * 2)


def test_part_without_target_is_refused() -> None:
    rows = [dict(row, left=None) for row in engines(3)] + engines(1)
    with pytest.raises(DataError, match=r"part: no row with a target; too little data"):
        TASK.prepare(STEPWISE, rows + [dict(row, id="x") for row in engines(1)])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"id": None}, "id: --channels needs --id"),
        ({"id": None, "model": "mlp"}, "every_step: for --channels with --id"),
        ({"text": "a"}, "text: give either --text or --channels, not both"),
        ({"sound": "a"}, "sound: give either --sound or --channels, not both"),
        ({"sample_rate": 8000}, "sample_rate: for --sound"),
    ],
)
def test_contradictory_options_are_refused(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        TASK.check(dataclasses.replace(STEPWISE, **arguments))
