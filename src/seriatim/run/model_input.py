"""Frames as the input of a run, for model servers, whose only input is a frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from seriatim.data.tables import open_table
from seriatim.errors import UsageError
from seriatim.run.described import DescribedRun

COLUMN_OPTIONS = ("text", "sound", "channels", "target", "source", "words", "image", "features")
"""Options that name the columns of a run's input."""
NUMERIC = ("channels", "target", "covariates")
EXAMPLE_ROWS = 3


def predict_frame(run: DescribedRun, frame: Any) -> Any:
    """Return the predictions for a pandas frame, as a frame with the columns of a CSV file of ``predict``.

    A run that was trained on data in memory reads the first column: texts, or lists of numbers ``[T]`` or ``[T, C]``. A
    language model continues each text of the first column. A forecaster of arrays reads each column as a target.
    """
    import pandas

    if run.writing == "continues":
        texts = [str(text) for text in frame.iloc[:, 0]]
        return pandas.DataFrame({"text": ["".join(run.generate(text, length=100)) for text in texts]})
    return pandas.DataFrame([cells for row in run.predict(source_of(run, frame)) for cells in run.csv_rows(row)])


def source_of(run: DescribedRun, frame: Any) -> Any:
    """Return ``frame`` as the source that ``run`` reads: itself, or its values where the run names no columns."""
    if any(getattr(run.options, name, None) for name in COLUMN_OPTIONS):
        return frame
    if run.task == "forecast":
        return frame.to_numpy(np.float64)
    values = list(frame.iloc[:, 0])
    return values if all(isinstance(value, str) for value in values) else [np.asarray(value, float) for value in values]


def example_of(run: DescribedRun, source: str | None) -> Any:
    """Return a few rows of the run's own data as a pandas frame, without the column of the answer.

    Raises ``UsageError`` if the run has no table to take them from.
    """
    options = run.options
    columns = {
        column: name in NUMERIC
        for name in ("text", "channels", "id", "time", "target", "covariates", "source")
        if (value := getattr(options, name, None)) and not (name == "target" and run.task != "forecast")
        for column in ((value,) if isinstance(value, str) else value)
    }
    if source is None or not columns or getattr(options, "header", True) is False:
        raise UsageError("example: the run names no columns of a file; give a small frame as it is to be predicted")
    import pandas

    table = open_table(source, columns=list(columns))
    values = {
        column: table.numbers([column])[:, 0] if is_numeric else table.values(column)
        for column, is_numeric in columns.items()
    }
    frame = pandas.DataFrame(values)
    id = getattr(options, "id", None)
    return frame[frame[id] == frame[id][0]] if id else frame if run.task == "forecast" else frame[:EXAMPLE_ROWS]
