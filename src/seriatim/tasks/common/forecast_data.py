"""Series for ``forecast``: their codec, how they are read, and which of their values are scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seriatim.data.files import content_hash
from seriatim.data.seasons import usual_season
from seriatim.data.series import Series, read_series
from seriatim.encoding.calendar import find_calendar
from seriatim.encoding.labels import plain_name
from seriatim.encoding.scaler import Standardizer
from seriatim.errors import DataError
from seriatim.tasks.common.rolling_origins import Rolling, actual_windows
from seriatim.tasks.options import ForecastOptions

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ForecastCodec:
    """The codec of series: their columns, the lookback, and a scaler for each series."""

    targets: tuple[str, ...]
    covariates: tuple[str, ...]
    lookback: int
    scalers: Mapping[str, Standardizer]
    """By the series' id, in the order of the training. Each is fitted on the training part."""

    def scaler(self, series: Series, end: int) -> Standardizer:
        """Return the scaler of a series. For a new series it is fitted on the first ``end`` rows."""
        return self.scalers.get(plain_name(series.id)) or Standardizer.fit(series.values[:end])

    def scale(self, series: Series, end: int) -> Array:
        """Scale one series to ``[T, C]`` float32, followed by the channels of its mask."""
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


def read(options: ForecastOptions, source: object) -> tuple[list[Series], list[str]]:
    """Read the series that the options describe, and notes about them."""
    return read_series(
        source,
        target=options.target,
        covariates=options.covariates,
        time=options.time,
        id=options.id,
        missing=options.missing,
        date_format=options.date_format,
        header=options.header,
    )


def read_known(options: ForecastOptions, codec: ForecastCodec, source: object) -> list[Series]:
    """Read new data with the columns of the training."""
    series, _ = read(options, source)
    width = len(codec.targets) + len(codec.covariates)
    if series[0].values.shape[1] != width:
        raise DataError(f"data: {series[0].values.shape[1]} channels, but the model reads {width}")
    return series


def join_origins(codec: ForecastCodec, series: list[Series], origins: list[range], ends: list[int]) -> Rolling:
    """Scale ``series``, and join them with their origins and the ``ends`` of their training parts."""
    positions = {name: position for position, name in enumerate(codec.scalers)}
    scaled = [codec.scale(item, end) for item, end in zip(series, ends, strict=True)]
    return Rolling(series, scaled, origins, ends, [positions.get(plain_name(item.id)) for item in series])


def target_values(series: Series, targets: int) -> Array:
    """Return where the targets have values, not filled gaps: bool ``[T, targets]``."""
    has_value = np.ones_like(series.values, bool) if series.has_value is None else series.has_value
    return has_value[:, :targets]


def scored_values(part: Rolling, index: int, horizon: int, targets: int) -> Array:
    """Return which values after the origins of series ``index`` are scored: bool ``[N, horizon, targets]``."""
    values = actual_windows(target_values(part.series[index], targets), part.origins[index], horizon)
    return values if part.is_scored is None else values & part.is_scored[index][:, None]


def check_values(codec: ForecastCodec, part: Rolling, horizon: int, name: str) -> None:
    """Raise ``DataError`` for a target without a single value in the ``name`` part: nothing would be scored."""
    targets = len(codec.targets)
    counts = np.zeros(targets, np.int64)
    for index in range(len(part.series)):
        counts += scored_values(part, index, horizon, targets).sum((0, 1))
    if not counts.all():
        raise DataError(f"target '{codec.targets[int(counts.argmin())]}': no value in the {name} part of any series")


def default_notes(options: ForecastOptions, lookback: int, shortest: int) -> Iterator[str]:
    """Yield a note for a default lookback, and for a season that is too long."""
    if options.lookback is None:
        yield f"lookback {lookback}, chosen to fit the shortest series"
    if options.season >= shortest:
        yield f"season {options.season} does not fit a training part of {shortest} rows: its mase is taken at lag 1"


def season_note(options: ForecastOptions, series: Series, train_rows: int) -> Iterator[str]:
    """Yield a note with the usual season of the calendar, if no season was passed and the training part has two."""
    if options.season > 1 or series.times is None:
        return
    calendar = find_calendar(series.times, series.format.zone)
    season = usual_season(calendar)
    if season is not None and 2 * season.steps <= train_rows:
        yield (
            f"season 1: with steps of {calendar}, --season {season.steps} also compares with the value of one "
            f"{season.period} before (seasonal_naive)"
        )


def series_hash(series: list[Series]) -> str:
    """Return the hash of the ids and the values."""
    return content_hash(*((item.id, item.values) for item in series))
