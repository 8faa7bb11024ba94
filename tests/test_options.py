"""Options: conversion of values, and refusal in one line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seriatim.errors import UsageError
from seriatim.options import AUTO, FIND, count, duration, fill, option
from seriatim.options import rate as read_rate


@dataclass(frozen=True, kw_only=True)
class Options:
    size: int = option(8, "a size", minimum=1)
    rate: float = option(0.1, "a rate", above=0.0, below=1.0)
    limit: float | None = option(None, "a time", above=0.0, parse=duration)
    lr: float | str = option(0.1, "a rate, or to find one", above=0.0, parse=read_rate)
    parts: int | str = option(1, "a number, or as the data want it", minimum=1, parse=count)
    name: str | None = option(None, "a column")
    kind: str = option("lstm", "a kind", choices=("lstm", "gru"))
    quiet: bool = option(False, "say nothing")
    columns: tuple[str, ...] = option((), "columns")
    rows: tuple[int, ...] = option((), "rows", minimum=1)


def test_missing_values_keep_their_defaults() -> None:
    assert fill(Options, {}) == Options()
    assert fill(Options, {"size": None, "rate": None}) == Options()


@pytest.mark.parametrize(
    ("values", "name", "value"),
    [
        ({"size": "12"}, "size", 12),
        ({"size": np.int64(12)}, "size", 12),
        ({"rate": np.float32(0.5)}, "rate", 0.5),
        ({"rate": "5e-1"}, "rate", 0.5),
        ({"limit": 3}, "limit", 3.0),
        ({"lr": 3}, "lr", 3.0),
        ({"lr": "2e-3"}, "lr", 2e-3),
        ({"lr": "find"}, "lr", FIND),
        ({"lr": np.float64(0.5)}, "lr", 0.5),
        ({"parts": " 3"}, "parts", 3),
        ({"parts": np.int64(3)}, "parts", 3),
        ({"parts": "auto "}, "parts", AUTO),
        ({"limit": "1.5m"}, "limit", 90.0),
        ({"name": 3}, "name", "3"),
        ({"name": Path("a.csv")}, "name", "a.csv"),
        ({"columns": "a, b,c"}, "columns", ("a", "b", "c")),
        ({"columns": ["a", "b"]}, "columns", ("a", "b")),
        ({"columns": 2}, "columns", ("2",)),
        ({"rows": "8,2,2"}, "rows", (8, 2, 2)),
        ({"quiet": True}, "quiet", True),
    ],
)
def test_values_are_converted(values: dict[str, object], name: str, value: object) -> None:
    result = getattr(fill(Options, values), name)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"siz": 3}, "no option 'siz' (did you mean 'size'?)"),
        ({"size": 0}, "size: got 0, wanted at least 1"),
        ({"size": 1.5}, "size: got 1.5, wanted a whole number"),
        ({"size": True}, "size: got True, wanted a whole number"),
        ({"size": "many"}, "size: got 'many', wanted a whole number"),
        ({"rate": 0.0}, "rate: got 0.0, wanted more than 0.0"),
        ({"rate": 1.0}, "rate: got 1.0, wanted less than 1.0"),
        ({"rate": "fast"}, "rate: got 'fast', wanted a number"),
        ({"rate": math.nan}, "rate: got nan, wanted a number"),
        ({"lr": 0.0}, "lr: got 0.0, wanted more than 0.0"),
        ({"lr": "0"}, "lr: got 0.0, wanted more than 0.0"),
        ({"lr": "fast"}, "lr: got 'fast', wanted a number, or find"),
        ({"lr": "nan"}, "lr: got nan, wanted a number"),
        ({"lr": True}, "lr: got True, wanted a number"),
        ({"parts": "0"}, "parts: got 0, wanted at least 1"),
        ({"parts": "all"}, "parts: got 'all', wanted a whole number, or auto"),
        ({"parts": 1.5}, "parts: got 1.5, wanted a whole number"),
        ({"limit": math.inf}, "limit: got inf, wanted a finite number"),
        ({"limit": "5 days"}, "limit: got '5 days', wanted a duration such as 90s, 10m or 2h"),
        ({"kind": "gur"}, "kind: 'gur' is not one of lstm, gru (did you mean 'gru'?)"),
        ({"kind": "cnn"}, "kind: 'cnn' is not one of lstm, gru"),
        ({"quiet": 1}, "quiet: got 1, wanted true or false"),
        ({"columns": {"a": 1}}, "columns: got {'a': 1}, wanted a list separated by commas"),
        ({"rows": "8,x,2"}, "rows: got 'x', wanted a whole number"),
        ({"rows": [8, 0, 2]}, "rows: got 0, wanted at least 1"),
    ],
)
def test_unsuitable_values_are_refused(values: dict[str, object], error: str) -> None:
    with pytest.raises(UsageError) as refused:
        fill(Options, values)
    assert str(refused.value) == error


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_number_ranges(value: float) -> None:
    if 0.0 < value < 1.0:
        assert fill(Options, {"rate": value}).rate == value
        assert fill(Options, {"rate": repr(value)}).rate == value
    else:
        with pytest.raises(UsageError, match=r"^rate: got"):
            fill(Options, {"rate": value})


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("10m", 600.0), (" 1.5 h ", 5400.0), (".5m", 30.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5s", "5d", "1e3", "5mm", "nan", "1,5h"])
def test_wrong_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wanted a duration such as"):
        duration(text)


def test_lists_may_quote_a_comma() -> None:
    assert fill(Options, {"columns": '"temp, C", b'}).columns == ("temp, C", "b")
    assert fill(Options, {"columns": "a , b"}).columns == ("a", "b")
