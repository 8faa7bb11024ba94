"""``Run.forecast``: forecasts as a frame with the columns that Nixtla's libraries use.

A frame of one target has the columns ``unique_id, ds, lstm, lstm-lo-80, lstm-hi-80``: the median and the interval from
the 10 % to the 90 % quantile, under the name of the model. With several targets the name of the target comes first:
``load-lstm``. The columns of ids and stamps are called as in the data, and hold values of the same type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seriatim.decoding.prediction_keys import prediction_keys
from seriatim.encoding.labels import plain_name

if TYPE_CHECKING:
    import polars

SUFFIXES = {"0.5": "", "0.1": "-lo-80", "0.9": "-hi-80"}
"""The ending of the column of each quantile."""
ID, TIME, STEP = "unique_id", "ds", "step"
"""The names of columns that the data do not name."""


def forecast_frame(
    rows: Iterable[Mapping[str, Any]],
    data: object,
    *,
    model: str,
    targets: Sequence[str],
    id: str | None,
    time: str | None,
) -> Any:
    """Turn ``rows`` of ``predict`` into a frame: of pandas if ``data`` is one, otherwise of Polars."""
    columns: dict[str, list[Any]] = {}
    for row in rows:
        steps = len(row["step"])
        columns.setdefault(id or ID, []).extend([row["id"]] * steps)
        if "time" in row:
            columns.setdefault(time or TIME, []).extend(row["time"])
        else:
            columns.setdefault(STEP, []).extend(row["step"])
        for target, key in zip(targets, prediction_keys(targets), strict=True):
            name = model if len(targets) == 1 else f"{target}-{model}"
            for level, suffix in SUFFIXES.items():
                values = [None] * steps if row[key] is None else row[key][level]
                columns.setdefault(name + suffix, []).extend(values)
    if hasattr(data, "iloc"):
        return _pandas_frame(columns, data, id, time)
    return _polars_frame(columns, data, id, time)


def _original_ids(names: list[Any], values: Iterable[Any]) -> list[Any]:
    """Replace the names of the ids by the values that the data have."""
    originals = {plain_name(str(value)): value for value in values}
    return [originals.get(name, name) for name in names]


def _pandas_frame(columns: dict[str, list[Any]], data: Any, id: str | None, time: str | None) -> Any:
    import pandas

    source = data.reset_index() if any(name is not None for name in data.index.names) else data
    frame = pandas.DataFrame(columns)
    if id is not None and id in source.columns:
        frame[id] = pandas.Series(_original_ids(columns[id], source[id].unique()), dtype=source[id].dtype)
    if time in source.columns and time in frame.columns:
        dtype = source[time].dtype
        if getattr(dtype, "tz", None) is not None:
            frame[time] = pandas.to_datetime(frame[time], utc=True).dt.tz_convert(dtype.tz)
        elif dtype.kind == "M" or hasattr(dtype, "freq"):
            frame[time] = frame[time].astype(dtype)
    return frame


def _polars_frame(columns: dict[str, list[Any]], data: object, id: str | None, time: str | None) -> polars.DataFrame:
    import polars

    frame = polars.DataFrame(columns)
    if not isinstance(data, polars.DataFrame):
        return frame
    if id in data.columns and id is not None:
        originals = _original_ids(columns[id], data[id].unique().to_list())
        frame = frame.with_columns(polars.Series(id, originals, dtype=data.schema[id]))
    if time in data.columns and time in frame.columns and time is not None:
        dtype = data.schema[time]
        if isinstance(dtype, polars.Datetime):
            frame = frame.with_columns(
                frame[time].str.to_datetime(time_unit=dtype.time_unit, time_zone=dtype.time_zone)
            )
        elif dtype == polars.Date:
            frame = frame.with_columns(frame[time].str.to_date())
    return frame
