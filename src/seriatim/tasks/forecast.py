"""``forecast``: the next values of one series or many, with quantiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from seriatim.data.calendar import format_stamp, future_stamps
from seriatim.data.files import content_hash
from seriatim.data.series import Series, read_series
from seriatim.data.windows import Windows
from seriatim.encoding.scaler import Standardizer
from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.loop import Outcome, TrainingPlan, fit
from seriatim.learning.observer import Observer
from seriatim.models.contract import Batch
from seriatim.models.forecaster import (
    Forecaster,
    WindowBatch,
    WindowShape,
    build_forecaster,
)
from seriatim.models.naive.autoregressive import Autoregressive
from seriatim.models.naive.persistence import Drift, Naive, SeasonalNaive
from seriatim.models.naive.statistical import Statistical
from seriatim.models.options import check_causal, is_streaming
from seriatim.notation import QUANTILES
from seriatim.tasks.common.fitting import closed_form
from seriatim.tasks.common.rolling import (
    Forecasts,
    Rolling,
    actual_windows,
    fitting_lookback,
    naive_error,
    part_series,
    score_forecasts,
)
from seriatim.tasks.options import FORECAST_BASELINES, ForecastOptions
from seriatim.tasks.task import Fresh, Model, Prepared, Row, Scores, Task

Array = np.ndarray[Any, Any]

EVALUATION_BATCH = 512
MONITORS = {"direct": "valid_quantile_loss", "recursive": "valid_nll"}


@dataclass(frozen=True)
class Scaling:
    """What was learned about the series themselves: columns, lookback, and each one's scaler."""

    targets: tuple[str, ...]
    covariates: tuple[str, ...]
    lookback: int
    scalers: Mapping[str, Standardizer]
    """By series, in the order in which models were fitted; each from the training part."""

    def scaler(self, series: Series, end: int) -> Standardizer:
        """Return the scaler of a series; for one never seen, fitted on its first ``end`` rows."""
        return self.scalers.get(series.id) or Standardizer.fit(series.values[:end])

    def scale(self, series: Series, end: int) -> Array:
        """Scale one series to ``[T, C]`` float32, with its mask behind it."""
        scaled = self.scaler(series, end).transform(series.values).astype(np.float32)
        if series.observed is None:
            return scaled
        return np.concatenate([scaled, series.observed.astype(np.float32)], 1)

    def to_json(self) -> dict[str, Any]:
        return {
            "targets": list(self.targets),
            "covariates": list(self.covariates),
            "lookback": self.lookback,
            "series": {name: scaler.to_json() for name, scaler in self.scalers.items()},
        }


@final
class Forecast(Task[ForecastOptions, Rolling, Scaling]):
    """Forecasters: recurrent, autoregressive, naive."""

    name = "forecast"
    options = ForecastOptions
    main_score = "mase"
    higher_is_better = False
    baselines = FORECAST_BASELINES
    neural_baselines = ()
    piped_format = "csv"
    codec_files = ("scaler.json",)

    def check(self, options: ForecastOptions) -> None:
        if options.bidirectional:
            raise UsageError("bidirectional: a forecaster must not see what it predicts")
        check_causal(options)
        if options.strategy == "recursive" and not is_streaming(options.model):
            raise UsageError(
                f"strategy: recursive goes on from a state, and {options.model} has none; direct reads a window"
            )
        if options.learner not in ("bptt", "recompute"):
            raise UsageError(
                f"learner: {options.learner} goes on from batch to batch, but each window of a forecast starts anew; "
                "take bptt, or recompute with --strategy recursive"
            )
        if options.learner == "recompute" and options.strategy != "recursive":
            raise UsageError(
                "learner: recompute wants a loss at every step, as --strategy recursive has it; direct has one at the "
                "end"
            )
        if options.split and len(options.split) != 3:
            raise UsageError(f"split: got {len(options.split)} numbers, wanted rows of train,valid,test")
        if options.split and options.origins > 1:
            raise UsageError("origins: --split already rolls over every origin of its test rows; leave one out")
        if options.valid or options.test:
            raise UsageError("valid, test: a forecast is split in time; give one file, and --origins or --split")
        twice = set(options.target) & set(options.covariates)
        if twice:
            raise UsageError(f"covariates: '{min(twice)}' is a target as well; a target's past is always read")

    def prepare(
        self, options: ForecastOptions, source: object, codec: Scaling | None = None
    ) -> Prepared[Rolling, Scaling]:
        known = codec
        series, notes = _read(options, source) if known is None else (self._known(options, known, source), [])
        held = sum(options.split[1:]) if options.split else 2 * options.horizon + options.origins - 1
        shortest = options.split[0] + held if options.split else min(len(one.values) for one in series)
        fixed = known.lookback if known else options.lookback
        lookback = fixed or fitting_lookback(shortest, options.horizon, options.season, held)
        parts = [part_series(one, lookback, options.horizon, options.origins, options.split) for one in series]
        channels = series[0].values.shape[1]
        targets = options.target or tuple(str(number + 1) for number in range(channels - len(options.covariates)))
        scalers = {
            one.id: Standardizer.fit(one.values[: part.train_rows]) for one, part in zip(series, parts, strict=True)
        }
        codec = known or Scaling(targets, options.covariates, lookback, scalers)
        ends = [part.train_rows for part in parts]
        scaled = [codec.scale(one, end) for one, end in zip(series, ends, strict=True)]

        places = {name: position for position, name in enumerate(codec.scalers)}
        positions = [places.get(one.id) for one in series]

        def rolling(origins: list[range]) -> Rolling:
            return Rolling(series, scaled, origins, ends, positions)

        sizes = {
            "train": sum(ends),
            "valid": sum(part.test.start - part.train_rows for part in parts),
            "test": sum(len(part.test) + options.horizon - 1 for part in parts),
        }
        return Prepared(
            rolling([part.train for part in parts]),
            rolling([part.valid for part in parts]),
            rolling([part.test for part in parts]),
            codec,
            sizes,
            _hash(series),
            (*notes, *_chosen_notes(options, lookback, min(ends))),
        )

    def read(self, options: ForecastOptions, codec: Scaling, source: object) -> Fresh[Rolling]:
        series = self._known(options, codec, source)
        origins, ends = [], []
        for one in series:
            last = len(one.values) - options.horizon
            first = max(last - options.origins + 1, codec.lookback)
            if first > last:
                raise DataError(
                    f"series '{one.id}': {len(one.values)} rows, wanted at least "
                    f"{codec.lookback + options.horizon} (lookback {codec.lookback} + horizon {options.horizon})"
                )
            origins.append(range(first, last + 1))
            ends.append(first)
        size = sum(len(one) + options.horizon - 1 for one in origins)
        return Fresh(self._rolling(codec, series, origins, ends), size, _hash(series))

    def codec(self, content: dict[str, Any]) -> Scaling:
        scalers = {name: Standardizer.from_json(one) for name, one in content["series"].items()}
        return Scaling(tuple(content["targets"]), tuple(content["covariates"]), int(content["lookback"]), scalers)

    def make(self, options: ForecastOptions, codec: Scaling) -> Model:
        makers: dict[str, Callable[[], Model]] = {
            "naive": Naive,
            "seasonal_naive": lambda: SeasonalNaive(options.season),
            "drift": Drift,
            "ar": lambda: Autoregressive(season=options.season, lags=options.lags),
        }
        shape = WindowShape(
            targets=len(codec.targets),
            covariates=len(codec.covariates),
            lookback=codec.lookback,
            horizon=options.horizon,
            season=options.season,
            masked=options.missing == "mask",
            normalize=options.normalize == "window",
        )

        def network() -> Model:
            return build_forecaster(options, shape, options.strategy)

        return makers.get(options.model, network)()

    def fit(
        self,
        model: Model,
        options: ForecastOptions,
        data: Prepared[Rolling, Scaling],
        keeper: CheckpointStore,
        observer: Observer,
    ) -> Outcome:
        targets = len(data.codec.targets)
        if isinstance(model, Statistical):
            ends = data.train.train_ends
            with closed_form() as timer:
                model.fit([one.values[:end, :targets] for one, end in zip(data.train.series, ends, strict=True)])
            return timer.outcome()
        assert isinstance(model, Forecaster)
        lookback = data.codec.lookback
        train = _windows(data.train, lookback, options.horizon)
        valid = _windows(data.valid, lookback, options.horizon)
        monitor = MONITORS[options.strategy]
        course = TrainingPlan(
            epoch=lambda number: _Epoch(train, options.batch_size, options.seed, number, model),
            validate=lambda network: {monitor: _validation(model, valid)},
            monitor=monitor,
        )
        return fit(model, course, options, keeper, observer)

    def replayed(self, new: Rolling, old: Rolling, share: float, seed: int) -> Rolling:
        """Windows of each old series that follow one another, so that there are as many in all as were asked for."""
        wanted = share * sum(map(len, new.origins)) / sum(map(len, old.origins))
        draw = np.random.default_rng(seed)
        origins = []
        for one in old.origins:
            count = min(round(wanted * len(one)), len(one))
            start = one.start + int(draw.integers(len(one) - count + 1))
            origins.append(range(start, start + count))
        return Rolling(
            [*new.series, *old.series],
            [*new.scaled, *old.scaled],
            [*new.origins, *origins],
            [*new.train_ends, *old.train_ends],
            [*new.positions, *old.positions],
        )

    def beside(self, options: ForecastOptions, baseline: str) -> ForecastOptions:
        return dataclasses.replace(options, model=baseline)

    def score(self, model: Model, options: ForecastOptions, codec: Scaling, split: Rolling) -> Scores:
        targets = len(codec.targets)

        def forecasts() -> Iterator[Forecasts]:
            for index, quantiles in enumerate(_quantiles(model, options, codec, split)):
                one, origins = split.series[index], split.origins[index]
                values = one.values[:, :targets]
                seen = np.ones_like(values, bool) if one.observed is None else one.observed[:, :targets]
                yield Forecasts(
                    quantiles,
                    actual_windows(values, origins, options.horizon),
                    actual_windows(seen, origins, options.horizon),
                    naive_error(values[: split.train_ends[index]], options.season),
                    codec.scaler(one, split.train_ends[index]).scale[:targets],
                )

        return score_forecasts(forecasts(), scaled_errors=targets > 1)

    def predict(self, model: Model, options: ForecastOptions, codec: Scaling, source: object) -> Iterator[Row]:
        """Give the quantiles of the steps behind the end of each series."""
        series = self._known(options, codec, source)
        ends = [len(one.values) for one in series]
        for one, end in zip(series, ends, strict=True):
            if end < codec.lookback:
                raise DataError(f"series '{one.id}': {end} rows, wanted at least the lookback of {codec.lookback}")
        split = self._rolling(codec, series, [range(end, end + 1) for end in ends], ends)
        for one, quantiles in zip(series, _quantiles(model, options, codec, split), strict=True):
            row: Row = {"id": one.id, "step": list(range(1, options.horizon + 1))}
            if one.times is not None:
                row["time"] = [format_stamp(stamp) for stamp in future_stamps(one.times, options.horizon)]
            for column, target in enumerate(codec.targets):
                row[target] = {
                    str(level): quantiles[0, :, column, place].tolist() for place, level in enumerate(QUANTILES)
                }
            yield row

    def flat(self, row: Row) -> Iterator[Row]:
        steps = [key for key in ("step", "time") if key in row]
        targets = [key for key in row if isinstance(row[key], dict)]
        for number in range(len(row["step"])):
            yield (
                {"id": row["id"]}
                | {key: row[key][number] for key in steps}
                | {f"{key}_{level}": row[key][level][number] for key in targets for level in row[key]}
            )

    def _known(self, options: ForecastOptions, codec: Scaling, source: object) -> list[Series]:
        """Read new data with the columns that the run was trained on."""
        series, _ = _read(options, source)
        width = len(codec.targets) + len(codec.covariates)
        if series[0].values.shape[1] != width:
            raise DataError(f"data: {series[0].values.shape[1]} channels, but the model reads {width}")
        return series

    def _rolling(self, codec: Scaling, series: list[Series], origins: list[range], ends: list[int]) -> Rolling:
        places = {name: position for position, name in enumerate(codec.scalers)}
        scaled = [codec.scale(one, end) for one, end in zip(series, ends, strict=True)]
        return Rolling(series, scaled, origins, ends, [places.get(one.id) for one in series])


class _Epoch(Sequence[Batch]):
    """The batches of one pass over all training windows, in a new random order each time."""

    def __init__(self, windows: Windows, size: int, seed: int, number: int, model: Forecaster[Any]) -> None:
        self._windows, self._size, self._model = windows, size, model
        self._order = np.random.default_rng((seed, number)).permutation(len(windows))

    def __len__(self) -> int:
        return -(-len(self._windows) // self._size)

    def __getitem__(self, position: Any) -> Any:
        windows = _batch(self._windows, self._order[position * self._size : (position + 1) * self._size])
        return self._model.batch(windows)


def _windows(split: Rolling, lookback: int, horizon: int) -> Windows:
    return Windows(split.scaled, lookback, horizon, [(one.start, one.stop) for one in split.origins])


def _batch(windows: Windows, indices: Array) -> WindowBatch:
    history, ahead = windows.batch(indices)
    return WindowBatch(torch.from_numpy(history), torch.from_numpy(ahead))


def _read(options: ForecastOptions, source: object) -> tuple[list[Series], list[str]]:
    return read_series(
        source,
        target=options.target,
        covariates=options.covariates,
        time=options.time,
        id=options.id,
        missing=options.missing,
        header=options.header,
    )


def _chosen_notes(options: ForecastOptions, lookback: int, shortest: int) -> Iterator[str]:
    """Tell what was chosen where the options did not say, or could not have their way."""
    if options.lookback is None:
        yield f"lookback {lookback}, chosen to fit the shortest series"
    if options.season >= shortest:
        yield f"season {options.season} does not fit a training part of {shortest} rows: its mase is taken at lag 1"


def _hash(series: list[Series]) -> str:
    return content_hash(*((one.id, one.values) for one in series))


def _validation(network: Forecaster[Any], windows: Windows) -> float:
    total = 0.0
    for start in range(0, len(windows), EVALUATION_BATCH):
        indices = np.arange(start, min(start + EVALUATION_BATCH, len(windows)))
        total += float(network.loss(network.batch(_batch(windows, indices)), ())[0]) * len(indices)
    return total / len(windows)


def _quantiles(model: Model, options: ForecastOptions, codec: Scaling, split: Rolling) -> Iterator[Array]:
    """Give for each series the quantiles ``[N, horizon, targets, Q]`` of its origins, in the data's units."""
    targets = len(codec.targets)
    if isinstance(model, Statistical):
        for one, origins, position in zip(split.series, split.origins, split.positions, strict=True):
            yield model.forecast(position, one.values[:, :targets], np.asarray(origins), options.horizon)
        return
    assert isinstance(model, Forecaster)
    scaled = _network_quantiles(model, options, codec, split)
    starts = np.cumsum([0, *(len(origins) for origins in split.origins)])
    for index, one in enumerate(split.series):
        scaler = codec.scaler(one, split.train_ends[index])
        mean, scale = scaler.mean[:targets, None], scaler.scale[:targets, None]
        yield scaled[starts[index] : starts[index + 1]].astype(np.float64) * scale + mean


def _network_quantiles(model: Forecaster[Any], options: ForecastOptions, codec: Scaling, split: Rolling) -> Array:
    """Return the scaled quantiles of all windows of all series, in order."""
    model.eval()
    windows = _windows(split, codec.lookback, 0)
    generator = np.random.default_rng(options.seed)
    parts = []
    with torch.no_grad():
        for start in range(0, len(windows), EVALUATION_BATCH):
            indices = np.arange(start, min(start + EVALUATION_BATCH, len(windows)))
            history, _ = windows.batch(indices)
            parts.append(model.quantiles(torch.from_numpy(history), generator).numpy())
    return np.concatenate(parts)
