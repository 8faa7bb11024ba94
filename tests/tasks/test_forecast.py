"""Forecasters from a table to scores: parts, scalers, several series and targets, gaps, and fields of forecasts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.run.fitting import fit
from seriatim.tasks.common.blend import Member
from seriatim.tasks.forecast import Forecast
from seriatim.tasks.options import ForecastOptions

TASK = Forecast()
OPTIONS = ForecastOptions(hidden=6, epochs=1, horizon=3, lookback=8, season=4)
NEURAL = [{"model": "lstm"}, {"model": "gru", "strategy": "recursive"}, {"model": "rnn", "normalize": "none"}]
STATISTICAL = [{"model": name} for name in ("naive", "seasonal_naive", "drift", "ar")]


def wave(rows: int = 60, level: float = 10.0, seed: int = 0) -> Any:
    return level + np.sin(np.arange(rows) * np.pi / 2) + np.random.default_rng(seed).normal(scale=0.1, size=rows)


def fit_model(source: object, **arguments: Any) -> tuple[Any, Any, ForecastOptions]:
    options = dataclasses.replace(OPTIONS, **arguments)
    TASK.check(options)
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared, options


def table(path: Path, **columns: Any) -> Path:
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def test_targets_named_like_keys_of_a_prediction(tmp_path: Path) -> None:
    columns = {name: wave(seed=seed) for seed, name in enumerate(("time", "step", "id", "target_id", "row"))}
    options = {"target": tuple(columns), "covariates": ("label",), "model": "naive", "time": "day"}
    stamps = np.datetime64("2020-01-01") + np.arange(60)
    source = table(tmp_path / "a.csv", day=stamps, label=wave(seed=9), **columns)
    model, prepared, options_used = fit_model(source, **options)
    (row,) = TASK.predict(model, options_used, prepared.codec, source)
    keys = ["target_time", "target_step", "target_target_id", "target_id", "row"]
    assert list(row) == ["id", "step", "time", *keys]
    assert (row["id"], row["step"]) == ("1", [1, 2, 3])
    assert row["time"] == ["2020-03-01", "2020-03-02", "2020-03-03"]
    for key, values in zip(keys, columns.values(), strict=True):
        assert row[key]["0.5"] == pytest.approx([values[-1]] * 3), key
    flat = list(TASK.csv_rows(row))
    assert [(row["id"], row["step"], row["time"]) for row in flat] == [
        ("1", step, f"2020-03-0{step}") for step in (1, 2, 3)
    ]
    assert [row["target_time_0.5"] for row in flat] == pytest.approx([columns["time"][-1]] * 3)


# Parts


def test_sizes_and_origins_of_the_split() -> None:
    prepared = TASK.prepare(OPTIONS, wave())
    assert prepared.sizes == {"train": 54, "valid": 3, "test": 3}
    assert [list(part.origins[0]) for part in (prepared.valid, prepared.test)] == [[54], [57]]
    rolled = TASK.prepare(dataclasses.replace(OPTIONS, origins=5), wave())
    assert rolled.sizes == {"train": 50, "valid": 3, "test": 7}
    assert list(rolled.test.origins[0]) == [53, 54, 55, 56, 57]
    fixed = TASK.prepare(dataclasses.replace(OPTIONS, split=(30, 10, 10)), wave())
    assert fixed.sizes == {"train": 30, "valid": 10, "test": 10}
    assert fixed.test.origins[0] == range(40, 48)


def test_validation_part_has_several_horizons() -> None:
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, valid_windows=4, origins=5), wave())
    assert prepared.sizes == {"train": 41, "valid": 12, "test": 7}
    assert list(prepared.valid.origins[0]) == list(range(41, 51)), "the last one is a horizon before the test part"
    assert prepared.train.origins[0].stop - 1 + OPTIONS.horizon == 41
    auto = TASK.prepare(dataclasses.replace(OPTIONS, valid_windows="auto", origins=5), [wave(60), wave(200)])
    assert [len(origins) for origins in auto.valid.origins] == [4, 4], "6 of the 53 rows of the shorter series"
    assert [origins.start for origins in auto.test.origins] == [53, 193]
    assert auto.codec.lookback == OPTIONS.lookback
    chosen = TASK.prepare(dataclasses.replace(OPTIONS, valid_windows="auto", lookback=None), wave(300))
    assert (chosen.sizes, chosen.codec.lookback) == ({"train": 261, "valid": 36, "test": 3}, 24)


def test_overlapping_windows_do_not_count_as_evidence() -> None:
    members = {}
    for model in ("ar", "drift", "theta"):
        fitted, prepared, options = fit_model(wave(), model=model, valid_windows=3)
        members[model] = Member(fitted, options)
    assert len(prepared.valid.origins[0]) == 7, "a window from each origin"
    assert "3 validation windows that do not overlap" in TASK.choose(members, prepared.codec, prepared.valid).note


@pytest.mark.parametrize("options", [{}, {"strategy": "recursive"}, {"model": "ar"}])
def test_new_runs_validate_on_an_eighth(options: dict[str, object]) -> None:
    assert TASK.model_defaults(options)["valid_windows"] == "auto"


def test_split_and_older_runs_keep_their_validation_part() -> None:
    assert "valid_windows" not in TASK.model_defaults({"split": (30, 10, 10)})
    assert ForecastOptions().valid_windows == 1, "runs whose config lacks the option keep their split"


def test_too_long_season_gives_a_note() -> None:
    (note,) = TASK.prepare(dataclasses.replace(OPTIONS, season=54), wave()).notes
    assert note == "season 54 does not fit a training part of 54 rows: its mase is taken at lag 1"
    assert TASK.prepare(dataclasses.replace(OPTIONS, season=53), wave()).notes == ()


def test_scaler_is_fitted_on_training_part() -> None:
    values = wave()
    values[54:] += 1000.0
    scaler = TASK.prepare(OPTIONS, values).codec.scalers["1"]
    np.testing.assert_allclose(scaler.mean, values[:54].mean())
    np.testing.assert_allclose(scaler.scale, values[:54].std())


def test_test_part_does_not_influence_the_model() -> None:
    values = wave()
    changed = values.copy()
    changed[57:] += 50.0
    for arguments in (*NEURAL, *STATISTICAL):
        original, other = (fit_model(source, **arguments)[0].state_dict() for source in (values, changed))
        assert all(np.array_equal(np.asarray(original[name]), np.asarray(other[name])) for name in original), arguments


def test_default_lookback_fits_and_gives_a_note() -> None:
    prepared = TASK.prepare(dataclasses.replace(OPTIONS, lookback=None), [wave(60), wave(30)])
    assert prepared.codec.lookback == 10  # half of the 30 - 6 - 3 rows of the shortest, rounded down
    assert "lookback 10, chosen to fit the shortest series" in prepared.notes


# Scores by hand


def test_naive_scores_by_hand() -> None:
    values = wave()
    model, prepared, options = fit_model(values, model="naive")
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    error = values[57:] - values[56]
    assert scores["mae"] == pytest.approx(np.abs(error).mean())
    assert scores["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    seasonal_error = np.abs(values[4:54] - values[:50]).mean()
    assert scores["mase"] == pytest.approx(np.abs(error).mean() / seasonal_error)
    assert scores["smape"] == pytest.approx(100 * (2 * np.abs(error) / (np.abs(values[57:]) + abs(values[56]))).mean())


def test_all_origins_of_all_series_are_scored() -> None:
    series = [wave(60), wave(50, level=100.0, seed=1)]
    model, prepared, options = fit_model(series, model="naive", origins=4)
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    per_series = []
    for values in series:
        last = len(values) - 3
        errors = [np.abs(values[o : o + 3] - values[o - 1]) for o in range(last - 3, last + 1)]
        train = values[: last - 6]
        per_series.append((np.mean(errors), np.abs(train[4:] - train[:-4]).mean()))
    assert scores["mae"] == pytest.approx(np.mean([mean for mean, _ in per_series]))
    assert scores["mase"] == pytest.approx(np.mean([mean / naive for mean, naive in per_series]))


def test_mse_and_mae_of_several_targets_are_scaled() -> None:
    values = np.stack([wave(), 100 * wave(seed=1)], 1)
    model, prepared, options = fit_model(values, model="naive")
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    error = values[57:] - values[56]
    scaled = error / values[:54].std(0)
    assert scores["mse"] == pytest.approx((scaled**2).mean())
    assert scores["mae"] == pytest.approx(np.abs(scaled).mean())
    assert scores["rmse"] == pytest.approx(np.sqrt((error**2).mean(0)).mean())


# Forecasts


@pytest.mark.parametrize("arguments", [*NEURAL, *STATISTICAL])
def test_forecast_follows_scale_and_shift_of_series(arguments: dict[str, Any]) -> None:
    values = wave()
    rows = []
    for source in (values, 1000.0 + 50.0 * values):
        model, prepared, options = fit_model(source, **arguments)
        (row,) = TASK.predict(model, options, prepared.codec, source)
        rows.append(np.array([row["1"][level] for level in ("0.1", "0.5", "0.9")]))
    np.testing.assert_allclose(rows[1], 1000.0 + 50.0 * rows[0], rtol=2e-3)
    assert (np.diff(rows[0], axis=0) >= 0).all()


@pytest.mark.parametrize("arguments", [*NEURAL, *STATISTICAL])
def test_forecasts_of_series_are_independent(arguments: dict[str, Any]) -> None:
    model, prepared, options = fit_model([wave(60), wave(50, seed=1)], **arguments)
    pair = list(TASK.predict(model, options, prepared.codec, [wave(60), wave(50, seed=1)]))
    assert [row["id"] for row in pair] == ["1", "2"]
    (single,) = TASK.predict(model, options, prepared.codec, [wave(60)])
    if arguments.get("strategy") == "recursive":  # paths are drawn side by side
        assert np.allclose(single["1"]["0.5"], pair[0]["1"]["0.5"], atol=1.0)
    else:
        np.testing.assert_allclose(single["1"]["0.5"], pair[0]["1"]["0.5"], rtol=1e-5)


@pytest.mark.parametrize("arguments", [*NEURAL, *STATISTICAL])
def test_new_series_is_forecast(arguments: dict[str, Any], tmp_path: Path) -> None:
    train_file = table(tmp_path / "known.csv", id=["a"] * 60, v=wave())
    model, prepared, options = fit_model(train_file, target=("v",), id="id", **arguments)
    new = table(tmp_path / "new.csv", id=["b"] * 40, v=wave(40, level=500.0))
    (row,) = TASK.predict(model, options, prepared.codec, new)
    assert row["id"] == "b"
    assert all(300 < value < 700 for value in row["v"]["0.5"])
    new_data = TASK.read(options, prepared.codec, new)
    assert (new_data.size, list(new_data.part.origins[0])) == (3, [37])
    assert TASK.score(model, options, prepared.codec, new_data.part)["mae"] < 100


@pytest.mark.parametrize("arguments", NEURAL)
def test_several_targets_and_covariates(arguments: dict[str, Any], tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", a=wave(), b=wave(seed=1), c=wave(seed=2), d=wave(seed=3))
    model, prepared, options = fit_model(source, target=("b", "a"), covariates=("c",), **arguments)
    (row,) = TASK.predict(model, options, prepared.codec, source)
    assert list(row) == ["id", "step", "b", "a"]
    flat = list(TASK.csv_rows(row))
    assert [row["step"] for row in flat] == [1, 2, 3]
    assert list(flat[0]) == ["id", "step", "b_0.1", "b_0.5", "b_0.9", "a_0.1", "a_0.5", "a_0.9"]
    assert TASK.score(model, options, prepared.codec, prepared.test)["coverage"] <= 1.0
    assert TASK.codec_from_json(prepared.codec.to_json()).to_json() == prepared.codec.to_json()


# Gaps


@pytest.mark.parametrize("missing", ["interpolate", "mask"])
def test_interpolated_gaps_give_a_note(missing: str, tmp_path: Path) -> None:
    days = np.datetime64("2021-01-01") + np.arange(60)
    values = [f"{value:.4f}" for value in wave()]
    values[20] = ""
    keep = [index for index in range(60) if index not in (30, 31)]
    source = table(tmp_path / "t.csv", day=days[keep], v=[values[index] for index in keep])
    with pytest.raises(DataError, match=r"t\.csv: line 22, column 'v': missing value, 1 in all; use --missing"):
        fit_model(source, target=("v",), time="day")
    model, prepared, options = fit_model(source, target=("v",), time="day", missing=missing)
    assert prepared.sizes["train"] == 54
    assert any("2 time stamps are missing" in note for note in prepared.notes)
    assert any("3 missing values were interpolated" in note for note in prepared.notes)
    assert prepared.train.scaled[0].shape == (60, 2 if missing == "mask" else 1)
    (row,) = TASK.predict(model, options, prepared.codec, source)
    assert [stamp[:10] for stamp in row["time"]] == ["2021-03-02", "2021-03-03", "2021-03-04"]


def test_missing_values_are_not_scored(tmp_path: Path) -> None:
    values = [f"{value:.6f}" for value in wave()]
    whole = table(tmp_path / "whole.csv", n=range(60), v=values)
    values[58] = ""
    holed = table(tmp_path / "holed.csv", n=range(60), v=values)
    model, _, options = fit_model(whole, target=("v",), model="naive", missing="mask")
    masked = TASK.prepare(options, holed)
    error = np.abs(wave()[[57, 59]] - wave()[56])
    assert TASK.score(model, options, masked.codec, masked.test)["mae"] == pytest.approx(error.mean(), abs=1e-5)
    interpolated = TASK.prepare(dataclasses.replace(options, missing="interpolate"), holed)
    scores = TASK.score(model, options, interpolated.codec, interpolated.test)
    assert scores["mae"] == pytest.approx(error.mean(), abs=1e-5)


@pytest.mark.parametrize("missing", ["interpolate", "mask"])
def test_blank_targets_at_the_end_are_forecast_and_not_scored(tmp_path: Path, missing: str) -> None:
    """The last values that are there are the test, and ``predict`` starts at the first blank row."""
    values = [f"{value:.6f}" for value in wave()]
    whole = table(tmp_path / "whole.csv", n=range(60), v=values)
    blank = table(tmp_path / "blank.csv", n=range(65), v=[*values, *[""] * 5])
    arguments: dict[str, Any] = {"target": ("v",), "time": "n", "model": "naive", "missing": missing}
    model, prepared, options = fit_model(whole, **arguments)
    other, shortened, _ = fit_model(blank, **arguments)
    assert shortened.sizes == prepared.sizes and shortened.hash == prepared.hash
    scores = TASK.score(model, options, prepared.codec, prepared.test)
    assert TASK.score(other, options, shortened.codec, shortened.test) == scores and scores["mase"] > 0
    new, repeated = (
        TASK.score(model, options, prepared.codec, TASK.read(options, prepared.codec, source).part)
        for source in (blank, whole)
    )
    assert new == repeated
    (row,), (expected,) = (list(TASK.predict(model, options, prepared.codec, source)) for source in (blank, whole))
    assert row == expected and row["time"] == [60, 61, 62]


@pytest.mark.parametrize("missing", ["interpolate", "mask"])
@pytest.mark.parametrize("origins", [1, 3])
def test_targets_that_end_at_different_rows(tmp_path: Path, missing: str, origins: int) -> None:
    """The last values of each target are its test, and ``predict`` continues each from its own end."""
    v, w = wave(), wave(level=50.0, seed=1)
    columns = {"v": [f"{value}" for value in v], "w": [*(f"{value}" for value in w[:-5]), *[""] * 5]}
    source = table(tmp_path / "both.csv", n=range(60), **columns)
    arguments: dict[str, Any] = {"target": ("v", "w"), "time": "n", "model": "naive", "missing": missing}
    model, prepared, options = fit_model(source, origins=origins, **arguments)
    assert prepared.test.origins[0] == range(53 - origins, 58)
    assert prepared.sizes["train"] == 50 - origins
    assert "the targets end at different rows: each is held out and forecast from its own last value" in prepared.notes
    errors, scaled = [], []
    for values, end in ((v, 60), (w, 55)):
        starts = range(end - 3 - origins + 1, end - 3 + 1)
        error = np.concatenate([values[start : start + 3] - values[start - 1] for start in starts])
        errors.append(np.sqrt(np.mean(error**2)))
        train = values[: 50 - origins]
        scaled.append(np.abs(error).mean() / np.abs(train[4:] - train[:-4]).mean())
    for part in (prepared.test, TASK.read(options, prepared.codec, source).part):
        assert TASK.score(model, options, prepared.codec, part)["rmse"] == pytest.approx(np.mean(errors))
    assert TASK.score(model, options, prepared.codec, prepared.test)["mase"] == pytest.approx(np.mean(scaled))
    early, late = TASK.predict(model, options, prepared.codec, source)
    assert (early["time"], early["v"]) == ([55, 56, 57], None)
    assert (late["time"], late["w"]) == ([60, 61, 62], None)
    assert early["w"]["0.5"] == pytest.approx([w[54]] * 3) and late["v"]["0.5"] == pytest.approx([v[59]] * 3)
    flat = [*TASK.csv_rows(early), *TASK.csv_rows(late)]
    assert len({tuple(row) for row in flat}) == 1, "all rows of a CSV file have the same columns"
    assert flat[0]["v_0.5"] is None and flat[0]["w_0.5"] == early["w"]["0.5"][0]


@pytest.mark.parametrize("arguments", NEURAL)
def test_networks_forecast_each_target_from_its_own_end(tmp_path: Path, arguments: dict[str, Any]) -> None:
    """Its row equals the forecast of a file that ends there."""
    columns = {"v": [f"{value}" for value in wave()], "w": [*(f"{value}" for value in wave(55, seed=1)), *[""] * 5]}
    ragged = table(tmp_path / "ragged.csv", n=range(60), **columns)
    short = table(tmp_path / "short.csv", n=range(55), **{name: values[:55] for name, values in columns.items()})
    given: dict[str, Any] = {"target": ("v", "w"), "time": "n", "missing": "interpolate"}
    model, prepared, options = fit_model(ragged, **given, **arguments)
    early, _ = TASK.predict(model, options, prepared.codec, ragged)
    (expected,) = TASK.predict(model, options, prepared.codec, short)
    assert early["time"] == expected["time"]
    if options.strategy == "direct":  # the other draws paths at random
        assert early["w"]["0.5"] == pytest.approx(expected["w"]["0.5"], rel=1e-5)


def test_test_part_without_a_value_is_refused(tmp_path: Path) -> None:
    values = [f"{value:.6f}" for value in wave()]
    table_file = table(tmp_path / "both.csv", v=values, w=[*values[:-3], "", "", ""])
    options = dataclasses.replace(OPTIONS, target=("v", "w"), missing="interpolate", split=(40, 17, 3))
    with pytest.raises(DataError, match="target 'w': no value in the test part of any series"):
        TASK.prepare(options, table_file)
    options = dataclasses.replace(options, split=())
    table_file = table(tmp_path / "both.csv", v=values, w=[*values[:-6], "", "", "", *values[-3:]])
    with pytest.raises(DataError, match="target 'w': no value in the validation part of any series"):
        TASK.prepare(options, table_file)


# What is refused


def test_short_series_is_refused() -> None:
    with pytest.raises(DataError, match=r"series '2': 16 rows, wanted at least 17 \(lookback 8 \+ horizon 3"):
        TASK.prepare(OPTIONS, [wave(60), wave(16)])
    model, prepared, options = fit_model(wave())
    with pytest.raises(DataError, match=r"series '1': 10 rows, wanted at least 11 \(lookback 8 \+ horizon 3\)"):
        TASK.read(options, prepared.codec, wave(10))
    with pytest.raises(DataError, match="series '1': 7 rows, wanted at least the lookback of 8"):
        list(TASK.predict(model, options, prepared.codec, wave(7)))


def test_wrong_number_of_channels_is_refused() -> None:
    model, prepared, options = fit_model(wave())
    with pytest.raises(DataError, match="data: 2 channels, but the model reads 1"):
        list(TASK.predict(model, options, prepared.codec, np.stack([wave(), wave()], 1)))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"bidirectional": True}, "bidirectional: a forecaster must not see what it predicts"),
        ({"split": (10, 2)}, "split: got 2 numbers"),
        ({"split": (10, 5, 5), "origins": 2}, "origins: --split already rolls over every origin"),
        ({"split": (30, 10, 10), "valid_windows": 3}, "valid_windows: --split already fixes"),
        ({"test": "x.csv"}, "valid, test: a forecast is split in time"),
        ({"target": ("a", "b"), "covariates": ("b",)}, "covariates: 'b' is a target as well"),
    ],
)
def test_contradictory_options_are_refused(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        TASK.check(dataclasses.replace(OPTIONS, **arguments))


@pytest.mark.parametrize(
    ("rows", "season", "noted"), [(60, 1, True), (60, 4, False), (24, 1, False)], ids=["daily", "passed", "short"]
)
def test_usual_season_of_the_calendar_is_proposed(tmp_path: Path, rows: int, season: int, noted: bool) -> None:
    """Unless a season is passed, or the training part is shorter than two of the usual ones."""
    stamps = np.datetime64("2020-01-01") + np.arange(rows)
    source = table(tmp_path / "a.csv", day=stamps, close=wave(rows))
    options = dataclasses.replace(OPTIONS, target=("close",), time="day", season=season, horizon=6, lookback=4)
    note = "season 1: with steps of 1 day, --season 7 also compares with the value of one week before (seasonal_naive)"
    assert (note in TASK.prepare(options, source).notes) == noted
