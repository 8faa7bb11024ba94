"""``forecast``: predicts the next values of one or several series, with quantiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import numpy as np

from seriatim.data.tables import has_columns
from seriatim.decoding.prediction_keys import ROW_KEYS, prediction_keys
from seriatim.encoding.labels import plain_name
from seriatim.encoding.scaler import Standardizer
from seriatim.errors import DataError, UsageError
from seriatim.learning.plan import TrainingPlan
from seriatim.models.forecaster import DirectForecaster, WindowShape, build_forecaster
from seriatim.models.naive.autoregressive import Autoregressive
from seriatim.models.naive.persistence import Drift, Naive, SeasonalNaive
from seriatim.models.naive.smoothing import ExponentialSmoothing
from seriatim.models.naive.statistical import StatisticalForecaster
from seriatim.models.naive.theta import Theta
from seriatim.models.start import AutoregressiveStart
from seriatim.notation import QUANTILES
from seriatim.tasks.common import forecast_data
from seriatim.tasks.common.baseline_time import baseline_seconds
from seriatim.tasks.common.blend import Blend, Choice, Member
from seriatim.tasks.common.epochs import scheduled_updates
from seriatim.tasks.common.forecast_blend import choose_blend
from seriatim.tasks.common.forecast_checks import check_forecast
from seriatim.tasks.common.forecast_data import ForecastCodec
from seriatim.tasks.common.forecast_epochs import WindowEpoch, validation_loss
from seriatim.tasks.common.forecast_quantiles import AnyForecaster, forecast_quantiles
from seriatim.tasks.common.forecast_start import WindowReader, choose_start
from seriatim.tasks.common.rolling_origins import (
    Forecasts,
    Rolling,
    actual_windows,
    default_lookback,
    default_valid_windows,
    last_origins,
    naive_error,
    score_forecasts,
    split_series,
)
from seriatim.tasks.options import FORECAST_BASELINES, ForecastOptions
from seriatim.tasks.options.forecast import START_OF_NEW_RUNS, WINDOWS_OF_NEW_RUNS
from seriatim.tasks.task import ClosedForm, DataOptions, NewData, PreparedData, Row, Scores, Task, model_of

Array = np.ndarray[Any, Any]

EPOCHS, LEAST_UPDATES = 3, 1000
"""The end of the default schedule; docs/defaults.md has the experiments."""
MONITORS = {"direct": "valid_quantile_loss", "recursive": "valid_nll"}

NIXTLA = {"id": "unique_id", "time": "ds", "target": "y"}
"""The columns of a frame of Nixtla's libraries."""


@final
class Forecast(Task[ForecastOptions, Rolling, ForecastCodec]):
    """Forecasts by a recurrent or other network, an autoregressive model, or naive models."""

    name = "forecast"
    options = ForecastOptions
    main_score = "mase"
    higher_is_better = False
    baselines = FORECAST_BASELINES
    neural_baselines = ()
    slow_baselines = ("theta", "ets")
    stdin_format = "csv"
    codec_files = ("scaler.json",)
    exported_columns = ("target", "covariates", "id", "time", "date_format")
    exported_options = ("horizon", "season", "strategy", "missing", "normalize", "seed", "lags")

    def model_defaults(self, explicit: Mapping[str, object]) -> Mapping[str, object]:
        defaults = {**super().model_defaults(explicit), **({} if explicit.get("split") else WINDOWS_OF_NEW_RUNS)}
        has_start = (
            model_of(self.options, explicit) not in FORECAST_BASELINES and explicit.get("strategy") != "recursive"
        )
        return {**defaults, **START_OF_NEW_RUNS} if has_start else defaults

    def data_options(self, explicit: Mapping[str, object], data: object | None) -> DataOptions:
        """Understand the columns of Nixtla's frames, if no target is named."""
        if "target" in explicit or explicit.get("header") is False or not has_columns(data, tuple(NIXTLA.values())):
            return DataOptions({})
        return DataOptions({option: (column,) if option == "target" else column for option, column in NIXTLA.items()})

    def check(self, options: ForecastOptions) -> None:
        check_forecast(options)

    def prepare(
        self, options: ForecastOptions, source: object, codec: ForecastCodec | None = None
    ) -> PreparedData[Rolling, ForecastCodec]:
        series, notes = (
            forecast_data.read(options, source)
            if codec is None
            else (forecast_data.read_known(options, codec, source), [])
        )
        target_count = series[0].values.shape[1] - len(options.covariates)
        target_ends = [item.ends(target_count) for item in series]
        fixed = codec.lookback if codec else options.lookback
        test_rows = options.split[2] if options.split else options.horizon + options.origins - 1
        shortest = sum(options.split) if options.split else min(map(min, target_ends))
        valid_windows = (
            default_valid_windows(shortest - test_rows, options.horizon, fixed)
            if isinstance(options.valid_windows, str)
            else options.valid_windows
        )
        valid_rows = options.split[1] if options.split else valid_windows * options.horizon
        evaluation_rows = valid_rows + test_rows
        lookback = fixed or default_lookback(shortest, options.horizon, options.season, evaluation_rows)
        if options.segment > lookback:
            raise UsageError(f"segment: got {options.segment} steps, wanted at most the lookback of {lookback}")
        parts = [
            split_series(item, lookback, options.horizon, options.origins, options.split, item_ends, valid_windows)
            for item, item_ends in zip(series, target_ends, strict=True)
        ]
        ends = [part.train_rows for part in parts]
        if codec is None:
            targets = options.target or tuple(str(number + 1) for number in range(target_count))
            scalers = {
                plain_name(item.id): Standardizer.fit(item.values[:end]) for item, end in zip(series, ends, strict=True)
            }
            codec = ForecastCodec(targets, options.covariates, lookback, scalers)
        train, valid, test = (
            forecast_data.join_origins(codec, series, [getattr(part, name) for part in parts], ends)
            for name in ("train", "valid", "test")
        )
        if not options.split:
            scored = [last_origins(item_ends, options.horizon, options.origins)[1] for item_ends in target_ends]
            test = dataclasses.replace(test, is_scored=scored)
        for part in (valid, test):
            forecast_data.check_values(codec, part, options.horizon, "validation" if part is valid else "test")
        sizes = {
            "train": sum(ends),
            "valid": sum(part.test.start - part.train_rows for part in parts),
            "test": sum(len(part.test) + options.horizon - 1 for part in parts),
        }
        if any(min(item_ends) < max(item_ends) for item_ends in target_ends):
            notes = [*notes, "the targets end at different rows: each is held out and forecast from its own last value"]
        all_notes = (
            *notes,
            *forecast_data.default_notes(options, lookback, min(ends)),
            *forecast_data.season_note(options, series[0], ends[0]),
        )
        return PreparedData(train, valid, test, codec, sizes, forecast_data.series_hash(series), all_notes)

    def read(self, options: ForecastOptions, codec: ForecastCodec, source: object) -> NewData[Rolling]:
        series = forecast_data.read_known(options, codec, source)
        origins, ends, scored = [], [], []
        for item in series:
            item_ends = item.ends(len(codec.targets))
            if min(item_ends) - options.horizon < codec.lookback:
                raise DataError(
                    f"series '{item.id}': {min(item_ends)} rows, wanted at least "
                    f"{codec.lookback + options.horizon} (lookback {codec.lookback} + horizon {options.horizon})"
                )
            item_origins, is_scored = last_origins(item_ends, options.horizon, options.origins)
            first = max(item_origins.start, codec.lookback)
            origins.append(range(first, item_origins.stop))
            scored.append(is_scored[first - item_origins.start :])
            ends.append(first)
        size = sum(len(series_origins) + options.horizon - 1 for series_origins in origins)
        part = dataclasses.replace(forecast_data.join_origins(codec, series, origins, ends), is_scored=scored)
        forecast_data.check_values(codec, part, options.horizon, "test")
        return NewData(part, size, forecast_data.series_hash(series))

    def codec_from_json(self, content: dict[str, Any]) -> ForecastCodec:
        scalers = {plain_name(name): Standardizer.from_json(scaler) for name, scaler in content["series"].items()}
        return ForecastCodec(tuple(content["targets"]), tuple(content["covariates"]), int(content["lookback"]), scalers)

    def make(self, options: ForecastOptions, codec: ForecastCodec) -> AnyForecaster:
        makers: dict[str, Callable[[], AnyForecaster]] = {
            "naive": Naive,
            "seasonal_naive": lambda: SeasonalNaive(options.season),
            "drift": Drift,
            "ar": lambda: Autoregressive(season=options.season, lags=options.lags),
            "theta": lambda: Theta(options.season),
            "ets": lambda: ExponentialSmoothing(options.season),
        }
        shape = WindowShape(
            targets=len(codec.targets),
            covariates=len(codec.covariates),
            lookback=codec.lookback,
            horizon=options.horizon,
            season=options.season,
            masked=options.missing == "mask",
            normalize=options.normalize == "window",
            segment=options.segment,
        )

        def network() -> AnyForecaster:
            start = None
            if options.start != "seasonal_naive":
                start = AutoregressiveStart(
                    len(codec.scalers), shape.targets, lookback=codec.lookback, season=options.season, lags=options.lags
                )
            return build_forecaster(options, shape, options.strategy, start)

        return makers.get(options.model, network)()

    def plan(
        self, model: AnyForecaster, options: ForecastOptions, data: PreparedData[Rolling, ForecastCodec]
    ) -> TrainingPlan[Any] | ClosedForm:
        targets = len(data.codec.targets)
        if isinstance(model, StatisticalForecaster):
            train_values = [
                series.values[:end, :targets]
                for series, end in zip(data.train.series, data.train.train_ends, strict=True)
            ]
            return ClosedForm(lambda: model.fit(train_values, seconds=baseline_seconds(options)))
        limited_to = ""
        if isinstance(model, DirectForecaster):
            limited_to = choose_start(model, options, data.codec, data.train, data.valid)
        train = WindowReader(model, data.codec, data.train, options.horizon)
        valid = WindowReader(model, data.codec, data.valid, options.horizon)
        monitor = MONITORS[options.strategy]
        first_epoch = WindowEpoch(train, options.batch_size, options.seed, 0, model)
        return TrainingPlan(
            epoch=lambda epoch: WindowEpoch(train, options.batch_size, options.seed, epoch, model),
            validate=lambda _: {monitor: validation_loss(model, valid)},
            monitor=monitor,
            updates=scheduled_updates(len(first_epoch), epochs=EPOCHS, least=LEAST_UPDATES),
            limited_to=limited_to,
        )

    def with_replay(self, new: Rolling, old: Rolling, share: float, seed: int) -> Rolling:
        """Return ``new`` with consecutive windows of each old series, ``share`` times as many as the new windows."""
        fraction = share * sum(map(len, new.origins)) / sum(map(len, old.origins))
        generator = np.random.default_rng(seed)
        replayed = []
        for origins in old.origins:
            count = min(round(fraction * len(origins)), len(origins))
            start = origins.start + int(generator.integers(len(origins) - count + 1))
            replayed.append(range(start, start + count))
        return Rolling(
            [*new.series, *old.series],
            [*new.scaled, *old.scaled],
            [*new.origins, *replayed],
            [*new.train_ends, *old.train_ends],
            [*new.positions, *old.positions],
        )

    def baselines_for(self, options: ForecastOptions) -> tuple[str, ...]:
        """Leave out ``seasonal_naive`` at season 1, where it is ``naive``, or ``naive`` if the model is the other."""
        names = super().baselines_for(options)
        repeated = "naive" if options.model == "seasonal_naive" else "seasonal_naive"
        return tuple(name for name in names if name != repeated) if options.season == 1 else names

    def baseline_options(self, options: ForecastOptions, baseline: str) -> ForecastOptions:
        return dataclasses.replace(options, model=baseline)

    def choose(self, members: Mapping[str, Member], codec: ForecastCodec, valid: Rolling) -> Choice:
        return choose_blend(members, codec, valid)

    def score(
        self, model: AnyForecaster | Blend, options: ForecastOptions, codec: ForecastCodec, part: Rolling
    ) -> Scores:
        targets = len(codec.targets)

        def forecasts() -> Iterator[Forecasts]:
            for index, quantiles in enumerate(forecast_quantiles(model, options, codec, part)):
                series, origins, end = part.series[index], part.origins[index], part.train_ends[index]
                values = series.values[:, :targets]
                yield Forecasts(
                    quantiles,
                    actual_windows(values, origins, options.horizon),
                    forecast_data.scored_values(part, index, options.horizon, targets),
                    naive_error(values[:end], options.season),
                    codec.scaler(series, end).scale[:targets],
                )

        return score_forecasts(forecasts(), scaled_errors=targets > 1)

    def predict(
        self, model: AnyForecaster | Blend, options: ForecastOptions, codec: ForecastCodec, source: object
    ) -> Iterator[Row]:
        """Yield the quantiles of the steps after the end of each series.

        Targets that end at different rows are in different rows of the result, and null in the others.
        A target's key is its name. A target named ``id``, ``step`` or ``time`` has the key ``target_id`` and so on.
        """
        series = forecast_data.read_known(options, codec, source)
        targets = len(codec.targets)
        starts = [(item, end) for item in series for end in sorted(set(item.ends(targets)))]
        for item, end in starts:
            if end < codec.lookback:
                raise DataError(f"series '{item.id}': {end} rows, wanted at least the lookback of {codec.lookback}")
        origins, ends = [range(end, end + 1) for _, end in starts], [end for _, end in starts]
        part = forecast_data.join_origins(codec, [item for item, _ in starts], origins, ends)
        for (item, end), quantiles in zip(starts, forecast_quantiles(model, options, codec, part), strict=True):
            row: Row = {"id": plain_name(item.id), "step": list(range(1, options.horizon + 1))}
            if item.times is not None:
                row["time"] = item.future_times(options.horizon, end)
            keys = prediction_keys(codec.targets)
            for column, (key, target_end) in enumerate(zip(keys, item.ends(targets), strict=True)):
                levels = {str(level): quantiles[0, :, column, index] for index, level in enumerate(QUANTILES)}
                row[key] = {name: values.tolist() for name, values in levels.items()} if target_end == end else None
            yield row

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield one row for each step."""
        steps = [key for key in ("step", "time") if key in row]
        targets = [key for key in row if key not in ROW_KEYS]
        levels = [str(level) for level in QUANTILES]
        for index in range(len(row["step"])):
            yield (
                {"id": row["id"]}
                | {key: row[key][index] for key in steps}
                | {f"{key}_{level}": row[key] and row[key][level][index] for key in targets for level in levels}
            )
