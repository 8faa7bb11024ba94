"""Bad data and options of ``train forecast``."""

from __future__ import annotations

import pytest

from bad_input.files import QUICK, Check, prices, replace_line

COMMAND = ("train", "forecast")
CLOSE = ("--time", "date", "--target", "close", "--horizon", "4", "--lookback", "12")

FILES: dict[str, str | bytes] = {
    "close_word.csv": replace_line(prices(), 9, "2020-01-08,abc,1"),
    "close_gone.csv": replace_line(prices(), 9, "2020-01-08,,1"),
    "close_nan.csv": replace_line(prices(), 9, "2020-01-08,NaN,1"),
    "close_inf.csv": replace_line(prices(), 9, "2020-01-08,-inf,1"),
    "twice.csv": replace_line(prices(), 9, "2020-01-07,3,1"),
    "someday.csv": replace_line(prices(), 9, "someday,3,1"),
    "brief.csv": prices(23),
    "mixed.csv": "id,v\n" + "".join(f"{row // 30},{row % 7}\n" for row in range(60)) + "odd,1\nodd,2\n",
}

DATA_CASES = [
    ("close_word.csv", CLOSE, "close_word.csv: line 9, column 'close': 'abc' is not a number"),
    ("close_gone.csv", CLOSE, "line 9, column 'close': missing value, 1 in all; use --missing interpolate"),
    ("close_nan.csv", CLOSE, "close_nan.csv: line 9, column 'close': missing value"),
    ("close_inf.csv", CLOSE, "close_inf.csv: line 9, column 'close': '-inf' is not finite"),
    ("close_inf.csv", (*CLOSE, "--missing", "mask"), "'-inf' is not finite"),
    ("twice.csv", CLOSE, "twice.csv: line 9, column 'date': 2020-01-07 occurs twice"),
    ("someday.csv", CLOSE, "someday.csv: line 9, column 'date': 'someday' is not a date or a number"),
    ("brief.csv", CLOSE, "series '1': 23 rows, wanted at least 24 (lookback 12 + horizon 4"),
    ("mixed.csv", ("--target", "v", "--id", "id", "--horizon", "3"), "series 'odd': 2 rows, wanted at least"),
    ("prices.csv", (*CLOSE, "--covariates", "date"), "line 2, column 'date': '2020-01-01' is not a number"),
    ("prices.csv", (*CLOSE, "--split", "500,10,10"), "series '1': 60 rows, but --split wants 520"),
    ("prices.csv", (*CLOSE, "--split", "30,2,10"), "split: 2 rows of valid, wanted at least the horizon"),
    ("prices.csv", ("--target", "1", "--no-header"), "line 1, column '1': 'date' is not a number"),
]


@pytest.mark.parametrize(("file", "options", "message"), DATA_CASES)
def test_bad_data_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *options, *QUICK)
    assert message in failure.line
    assert failure.code == 1


OPTION_CASES = [
    ("prices.csv", ("--target", "clse"), "prices.csv: no column 'clse' (did you mean 'close'?)"),
    ("prices.csv", ("--target", "close", "--time", "dat"), "no column 'dat' (did you mean 'date'?)"),
    ("prices.csv", ("--target", "close", "--covariates", "opn"), "no column 'opn' (did you mean 'open'?)"),
    ("prices.csv", ("--horizon", "4"), "target: name the column or columns to forecast"),
    ("prices.csv", (*CLOSE, "--covariates", "close"), "covariates: 'close' is a target as well"),
    ("prices.csv", (*CLOSE, "--bidirectional"), "bidirectional: a forecaster must not see"),
    ("prices.csv", (*CLOSE, "--test", "prices.csv"), "valid, test: a forecast is split in time"),
    ("prices.csv", (*CLOSE, "--split", "30,10"), "split: got 2 numbers, wanted rows of train,valid,test"),
    ("prices.csv", (*CLOSE, "--split", "30,10,10", "--origins", "3"), "origins: --split already rolls"),
    ("prices.csv", (*CLOSE, "--split", "30,-10,10"), "--split: got -10, wanted at least 1"),
    ("prices.csv", (*CLOSE, "--missing", "fill"), "--missing: 'fill' is not one of error, interpolate, mask"),
    ("prices.csv", (*CLOSE, "--model", "mlp", "--strategy", "recursive"), "strategy: recursive goes on from"),
]


@pytest.mark.parametrize(("file", "options", "message"), OPTION_CASES)
def test_bad_option_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *QUICK, *options)
    assert message in failure.line
    assert failure.code == 2
