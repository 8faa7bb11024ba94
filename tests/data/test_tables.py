"""Tests of tables from all sources, and of the line in error messages."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seriatim.data import delimited
from seriatim.data.files import InputStream
from seriatim.data.tables import Table, open_table
from seriatim.encoding.labels import plain_name
from seriatim.errors import DataError, UsageError

NAN = float("nan")


def table(raw: bytes, format: str = "csv", *columns: str, header: bool = True) -> Table:
    return open_table(io.BytesIO(raw), format=format, columns=columns, header=header)


ROWS = [
    {"day": "2020-01-01", "close": 1.5, "n": 1, "word": "a"},
    {"day": "2020-01-03", "close": 2.0, "n": 2, "word": "é b"},
]


def sources(tmp_path: Path) -> dict[str, object]:
    frame = polars.DataFrame(ROWS)
    frame.write_csv(tmp_path / "t.csv")
    frame.write_csv(tmp_path / "t.tsv", separator="\t")
    frame.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    files: dict[str, object] = {name: tmp_path / name for name in ("t.csv", "t.tsv", "t.parquet", "t.jsonl")}
    return files | {
        "polars": frame,
        "lazy": frame.lazy(),
        "pandas": pandas.DataFrame(ROWS),
        "indexed": pandas.DataFrame(ROWS).set_index("day"),
        "dicts": ROWS,
        "dates": frame.with_columns(polars.col("day").str.to_date()),
        "pandas dates": pandas.DataFrame(ROWS).assign(day=pandas.to_datetime(["2020-01-01", "2020-01-03"])),
    }


def test_all_sources_give_equal_tables(tmp_path: Path) -> None:
    for name, source in sources(tmp_path).items():
        result = open_table(source, columns=["day", "close", "n", "word"], optional=["other"])
        assert len(result) == result.rows == 2, name
        assert result.numbers(["n", "close"]).tolist() == [[1.0, 1.5], [2.0, 2.0]], name
        assert result.labels("n") == ["1", "2"], name
        assert result.text("word") == ["a", "é b"], name
        assert result.timestamps("day").values.astype("datetime64[D]").astype(str).tolist() == [
            "2020-01-01",
            "2020-01-03",
        ], name
        assert result.codes("word")[1] == ["a", "é b"] and not result.has("other")
        lines = isinstance(source, Path) and source.suffix != ".parquet"
        first = 1 if name in ("t.jsonl",) or not lines else 2
        assert result.line(0) == f"{'line' if lines else 'row'} {first}", name


def test_columns_by_number() -> None:
    for source in ([[1, "x"], [2, "y"]], [(1, "x"), (2, "y")], np.array([[1, "x"], [2, "y"]], dtype=object)):
        assert open_table(source, columns=["2"]).text("2") == ["x", "y"]
        assert open_table(source, columns=["1"]).numbers(["1"]).tolist() == [[1.0], [2.0]]
    assert open_table(np.array([[1.0, 2.0], [3.0, 4.0]]), columns=["2"]).labels("2") == ["2", "4"]
    assert table(b"a,b\nc,d\n", "csv", "2", header=False).text("2") == ["b", "d"]
    assert table(b"a,b\nc,d\n", header=False).line(0) == "line 1"


def test_csv_quotes_and_tsv_does_not() -> None:
    assert table(b'a,b\n"x, ""y""\nz",1\n').text("a") == ['x, "y"\nz']
    assert table(b'a\tb\n"x\t1\ny"z\t2\n', "tsv").text("a") == ['"x', 'y"z']


def test_byte_order_mark_line_ends_and_blank_lines() -> None:
    result = table(b"\xef\xbb\xbf\r\na,b\r\n\r\n1,2\r\n\n3,4")
    assert result.names == ["a", "b"]
    assert result.numbers(["a", "b"]).tolist() == [[1, 2], [3, 4]]
    assert [result.line(row) for row in (0, 1)] == ["line 4", "line 6"]


def test_missing_numbers() -> None:
    words = ["", "NA", "N/A", "NaN", "nan", "null", "None", "?", '""', " NA ", " 7"]
    values = table(("a,b\n" + "".join(f"{word},1\n" for word in words)).encode()).numbers(["a"])[:, 0]
    assert np.isnan(values[:-1]).all() and values[-1] == 7
    frame = open_table([{"a": None}, {"a": 1.5}, {}], columns=["a"])
    np.testing.assert_array_equal(frame.numbers(["a"])[:, 0], [NAN, 1.5, NAN])
    np.testing.assert_array_equal(open_table([{"a": None}], columns=["a"]).numbers(["a"]), [[NAN]])


def test_labels_of_integral_floats_have_no_point() -> None:
    assert open_table(pandas.DataFrame({"a": [1.0, 2.0]}), columns=["a"]).labels("a") == ["1", "2"]
    assert open_table(pandas.DataFrame({"a": [1.5, 2.0]}), columns=["a"]).labels("a") == ["1.5", "2"]
    assert table(b"a\n1.0\n2\n").labels("a") == ["1.0", "2"]
    assert table(b"a\n1.0\n2\n").text("a") == ["1.0", "2"]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([True, False], ["true", "false"]),
        ([0.0, 1.0], ["0", "1"]),
        ([0.1, 1e-5, 2.0, 1e16], ["0.1", "1e-05", "2", "1e+16"]),
        (np.array([0.1, 2.0], np.float32), ["0.1", "2"]),
        ([7, 11898508762506083287], ["7", "11898508762506083287"]),
        (["007", "7", "NA", "1.00"], ["007", "7", "NA", "1.00"]),
        (pandas.array([7, None, 8], "Int64")[[0, 2]], ["7", "8"]),
        (pandas.to_datetime(["2020-01-01", "2020-01-02"]), ["2020-01-01", "2020-01-02"]),
        (pandas.Categorical(["a", "b"]), ["a", "b"]),
    ],
)
def test_names_are_equal_from_every_source(tmp_path: Path, values: Any, names: list[str]) -> None:
    """Frames, arrays, and the files that are written from them."""
    frame = pandas.DataFrame({"a": values, "b": 1})
    frame.to_csv(tmp_path / "pandas.csv", index=False)
    frame.to_parquet(tmp_path / "pandas.parquet")
    polars.from_pandas(frame).write_csv(tmp_path / "polars.csv")
    polars.from_pandas(frame).write_ndjson(tmp_path / "polars.jsonl")
    sources = [frame, polars.from_pandas(frame), *tmp_path.iterdir()]
    for source in sources:
        if (
            isinstance(source, Path)
            and source.name.startswith("polars")
            and ("1e-05" in names or names[0] == "2020-01-01")
        ):
            continue  # Polars writes 0.00001 and whole stamps
        result = open_table(source, columns=["a"])
        for codes in (result.labels("a"), result.codes("a")[1]):
            assert list(map(plain_name, codes)) == names, source


@pytest.mark.parametrize("dtype", ["uint64", "UInt64", "uint8", "Int64", "float32"])
def test_pandas_numbers_of_every_type(dtype: str) -> None:
    large = 200 if dtype == "uint8" else 2**24 if dtype == "float32" else 2**62 if dtype == "Int64" else 2**64 - 1
    plain = dtype in ("uint64", "uint8", "float32")
    frame = pandas.DataFrame({"a": np.array([7, large], dtype) if plain else pandas.array([7, large], dtype=dtype)})
    result = open_table(frame, columns=["a"])
    assert result.numbers(["a"])[:, 0].tolist() == [7, float(large)]
    assert result.labels("a") == result.codes("a")[1] == ["7", str(large)]
    assert result.timestamps("a").values.astype(float).tolist() == [7, float(large)]
    if dtype in ("UInt64", "Int64"):
        frame = pandas.DataFrame({"a": pandas.array([7, large, None], dtype=dtype)})
        np.testing.assert_array_equal(open_table(frame, columns=["a"]).numbers(["a"])[:, 0], [7, float(large), NAN])


def test_codes_are_in_order_of_appearance() -> None:
    codes, names = table(b"a\ny\nx\ny\nz\n").codes("a")
    assert codes.tolist() == [0, 1, 0, 2] and names == ["y", "x", "z"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2020-01-31", "2020/02/01", "2020.3.5"], ["2020-01-31", "2020-02-01", "2020-03-05"]),
        (["2020-01", "2020/02"], ["2020-01-01", "2020-02-01"]),
        (["20200131", "20200201"], ["2020-01-31", "2020-02-01"]),
        (["2020-01-31 10:00", "2020-01-31T10:00:00.5"], ["2020-01-31T10:00:00", "2020-01-31T10:00:00.500000"]),
        (["2020-01-31T10:00:00Z", "2020-01-31 10:00:00+02:00"], ["2020-01-31T10:00:00", "2020-01-31T08:00:00"]),
        (["0", "5"], [0, 5]),
        (["1700", "1701"], [1700, 1701]),
        (["0.5", "1"], [0.5, 1.0]),
    ],
)
def test_timestamps(cells: list[str], expected: list[object]) -> None:
    result = table(("a,b\n" + "".join(f"{cell},1\n" for cell in cells)).encode()).timestamps("a").values
    expected: NDArray[np.generic] = np.array(expected)
    if expected.dtype.kind == "U":
        expected = expected.astype("datetime64[us]")
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


def test_time_zones_of_frames_become_utc() -> None:
    stamps = pandas.to_datetime(["2020-01-01"]).tz_localize("Asia/Seoul")
    for frame in (pandas.DataFrame({"a": stamps}), polars.DataFrame({"a": list(stamps)})):
        assert open_table(frame, columns=["a"]).timestamps("a").values.astype(str).tolist() == [
            "2019-12-31T15:00:00.000000"
        ]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is blank"),
        (b"a,b\n", "holds a header but no rows"),
        (b"a,b\r1,2\r3\r", "line 3: 1 cells, wanted 2"),
        (b"a,b\n\n", "holds a header but no rows"),
        (b"a,b\n1,2\n3\n", "line 3: 1 cells, wanted 2"),
        (b"a,b\n1,2\n\n3,4,5\n6\n", "line 4: 3 cells, wanted 2"),
        (b'a,b\n"x\ny",2\n3\n', "line 4: 1 cells, wanted 2"),
        (b"a;b\n1,5;2\n", "line 2: 2 cells, wanted 1 .*not ';'"),
        (b"a,b,a\n1,2,3\n", "two columns are named 'a'"),
        (b"a,b\n1,2\n3,\xe9\n", r"not UTF-8: byte 0xe9 at offset 10 \(line 3\)"),
        (b'a,b\n1,2\n"3,4\n', "line 3: a quote is opened and never closed"),
        (b'a,b\n1,5" long\n3,4" long\n', "line 2: a quote inside a cell"),
        (b'a,b\n1,"x" y\n', "line 2: a quote inside a cell"),
    ],
)
def test_damaged_csv(raw: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"^standard input: {message}"):
        table(raw)


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl"])
def test_carriage_returns_alone_end_lines(format: str, tmp_path: Path) -> None:
    """This is the old line end of the Mac. Excel writes it too, with a line feed for a line end inside a cell."""
    raw = {
        "csv": b'id,text\r1,"red\nrose"\r2,sea\r\r3,x',
        "tsv": b"id\ttext\r1\tred\\nrose\r2\tsea\r\r3\tx",
        "jsonl": b'{"id": 1, "text": "red\\nrose"}\r{"id": 2, "text": "sea"}\r\r{"id": 3, "text": "x"}\r',
    }[format]
    (tmp_path / f"mac.{format}").write_bytes(raw)
    stream = InputStream(io.BytesIO(raw), format)
    for source in (str(tmp_path / f"mac.{format}"), stream):
        result = open_table(source, columns=["id", "text"])
        assert result.numbers(["id"])[:, 0].tolist() == [1, 2, 3]
        assert result.text("text") == ["red\\nrose" if format == "tsv" else "red\nrose", "sea", "x"]
        assert result.line(2) == {"csv": "line 6", "tsv": "line 5", "jsonl": "line 4"}[format]  # JSON has no header


def test_half_of_a_character_is_refused_with_its_row() -> None:
    rows = [["red", "x"], ["sea \ud83d", "y"]]
    message = r"row 2, column '{}': \\ud83d is half of a character \(a lone surrogate\)"
    sources: list[tuple[object, str]] = [
        (rows, "1"),
        ([{"1": text} for text, _ in rows], "1"),
        (np.array(rows, dtype=object), "1"),
        (pandas.DataFrame({"a": [text for text, _ in rows]}, dtype=object), "a"),
    ]
    for source, column in sources:
        with pytest.raises(DataError, match=message.format(column)):
            open_table(source, columns=[column]).text(column)


@pytest.mark.parametrize("size", [4, 7, 16, 1 << 20])
def test_faults_of_cells(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(delimited, "BLOCK", size)
    result = table(b'a,b,c,d\n1,"x\n\ny",2020-01-01,3\n\n2,z,2020-01-02,\nabc,inf,x,2020\n')
    cases = {
        "line 7, column 'a': 'abc' is not a number": lambda: result.numbers(["d", "a"]),
        "line 2, column 'b': 'x\n\ny' is not a number": lambda: result.numbers(["b"]),
        "line 7, column 'c': 'x' is not a date or a number": lambda: result.timestamps("c"),
        "line 6, column 'd': no text": lambda: result.text("d"),
        "line 6, column 'd': no label": lambda: result.labels("d"),
        "line 6, column 'd': no value": lambda: result.codes("d"),
        "line 6, column 'd': no time stamp": lambda: result.timestamps("d"),
    }
    for message, ask in cases.items():
        with pytest.raises(DataError) as caught:
            ask()
        assert str(caught.value) == f"standard input: {message}"


def test_infinities_are_refused() -> None:
    for word in ("inf", "-inf", "Infinity", "1e999"):
        with pytest.raises(DataError, match=r"line 3, column 'a': .* is not finite"):
            table(f"a\n1\n{word}\n".encode()).numbers(["a"])
    with pytest.raises(DataError, match=r"row 2, column '1': 'inf' is not finite"):
        open_table(np.array([[1.0], [np.inf]]), columns=["1"]).numbers(["1"])


def test_mixed_dates_and_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 8)
    with pytest.raises(DataError, match=r"line 3, column 'a': dates and plain numbers"):
        table(b"a\n2020-01-01\n123456789012\n").timestamps("a")
    assert table(b"a\n1\n2\n3\n4.5\n").timestamps("a").values.tolist() == [1, 2, 3, 4.5]


def test_json_lines() -> None:
    result = table(b'{"a": 1}\n\n{"a": "x", "b": true}\n', "jsonl", "a", "b")
    assert result.labels("a") == ["1", "x"]
    with pytest.raises(DataError, match=r"line 3, column 'a': 'x' is not a number"):
        result.numbers(["a"])
    with pytest.raises(DataError, match=r"line 1, column 'b': no label"):
        result.labels("b")
    for raw, message in ((b'{"a": 1}\n{"a":', "line 2: not JSON"), (b"[1]\n", "line 1: wanted an object")):
        with pytest.raises(DataError, match=message):
            table(raw, "jsonl", "a")


def test_damaged_parquet(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    file.write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"a.parquet: not a Parquet file"):
        open_table(file, columns=["a"])
    polars.DataFrame({"a": ["x", None]}).write_parquet(file)
    with pytest.raises(DataError, match=r"row 2, column 'a': no text"):
        open_table(file, columns=["a"]).text("a")


def test_wrong_names() -> None:
    with pytest.raises(UsageError, match=r"no column 'clsoe' \(did you mean 'close'"):
        table(b"date,close\n1,2\n", "csv", "clsoe")
    with pytest.raises(UsageError, match="--no-header"):
        table(b"date,close\n1,2\n", "csv", "2")
    with pytest.raises(UsageError, match="40 in all"):
        open_table(np.zeros((2, 40)), columns=["close"])
    with pytest.raises(UsageError, match="no column 'x'"):
        table(b"date,close\n1,2\n").text("x")


def test_unknown_extension_is_refused(tmp_path) -> None:
    (tmp_path / "data.xls").write_bytes(b"x")
    with pytest.raises(UsageError, match="wanted one of"):
        open_table(tmp_path / "data.xls", columns=[])
    with pytest.raises(DataError, match="data: no such file"):
        open_table("data", columns=[])


@pytest.mark.parametrize("source", [5, None, np.zeros(3), ["a"], {"a": 1}])
def test_unknown_sources_are_refused(source: object) -> None:
    with pytest.raises(UsageError, match="wanted"):
        open_table(source, columns=[])


def test_bad_streams() -> None:
    with pytest.raises(UsageError, match="format: got 'xls', wanted one of csv"):
        table(b"a\n1\n", "xls")
    with pytest.raises(UsageError, match="wanted one open as binary"):
        open_table(io.StringIO("a\n1\n"), format="csv", columns=[])
    with pytest.raises(DataError, match=r"gone.csv: no such file"):
        open_table("gone.csv", columns=[])
    with pytest.raises(DataError, match="empty list"):
        open_table([], columns=[])
    with pytest.raises(DataError, match="row 2: 1 cells, wanted 2"):
        open_table([[1, 2], [3]], columns=["1"])


def test_file_changed_while_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n2\n")
    result = open_table(file, columns=["a"])
    file.write_text("a\n1\n")
    with pytest.raises(DataError, match="changed while it was read"):
        result.numbers(["a"])


CELLS = st.text(st.sampled_from('ab," \n\t한'), max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, st.integers(-9, 9)), min_size=1, max_size=12), st.integers(1, 40))
def test_csv_round_trip_for_any_block_size(rows: list[tuple[str, int]], block: int) -> None:
    quoted = ['"' + cell.replace('"', '""') + '"' for cell, _ in rows]
    raw = "n,t\n" + "".join(f"{number},{cell}\n" for cell, (_, number) in zip(quoted, rows, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK", block)
        result = table(raw.encode())
        assert result.numbers(["n"])[:, 0].tolist() == [number for _, number in rows]
        line = 2
        for row, (cell, _) in enumerate(rows):
            assert result.line(row) == f"line {line}"
            line += 1 + cell.count("\n")
        if all(cell for cell, _ in rows):
            assert result.text("t") == [cell for cell, _ in rows]


def test_blank_line_in_one_column_table_is_refused(tmp_path):
    file = tmp_path / "one.csv"
    file.write_text("value\n1\n2\n\n4\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"one.csv: line 4: is blank; write NA for a missing value"):
        open_table(file, columns=["value"])
    file.write_text("value\n1\n2\nNA\n4\n\n\n", encoding="utf-8")  # blank lines at the end are ignored
    assert np.isnan(open_table(file, columns=["value"]).numbers(["value"])).tolist() == [
        [False],
        [False],
        [True],
        [False],
    ]


def test_blanks_around_column_names_do_not_matter(tmp_path: Path) -> None:
    """As in the tables of Nasdaq: ``Date, Close/Last, Volume``."""
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n{" close": 3.5}\n')
    sources = [table(b"date, close\nx,3.5\n"), open_table(polars.DataFrame({" close": [3.5]}), columns=["close"])]
    for result in (*sources, open_table([{" close": 3.5}], columns=["close"])):
        for name in ("close", " close"):
            assert result.has(name) and result.numbers([name]).tolist() == [[3.5]] and result.labels(name) == ["3.5"]
    assert open_table(tmp_path / "a.jsonl", columns=["close"]).numbers(["close"])[1].tolist() == [3.5]
    with pytest.raises(UsageError, match=r"no column 'temp'; put a name with a comma in double quotes: \"temp, C\""):
        table(b'date,"temp, C"\nx,3.5\n').numbers(["temp"])
    repeated = table(b"a, a\n1,2\n")
    assert repeated.numbers(["a", " a"]).tolist() == [[1, 2]]


def test_pandas_indices_and_multi_level_names() -> None:
    dates = pandas.date_range("2020-01-01", periods=2)
    frame = pandas.DataFrame({("close", "high"): [1, 2], ("volume", ""): [3, 4]}, index=dates)
    result = open_table(frame, columns=["close.high", "volume", "index"])
    assert result.numbers(["close.high", "volume"]).tolist() == [[1, 3], [2, 4]]
    assert result.timestamps("index").values.astype("datetime64[D]").astype(str).tolist() == [
        "2020-01-01",
        "2020-01-02",
    ]
    assert open_table(frame.to_period("D"), columns=["index"]).timestamps("index").values.dtype.kind == "M"
    assert open_table(pandas.DataFrame({"a": [1]}), columns=["a"]).names == ["a"], "a plain index is no column"


@pytest.mark.parametrize("block", [8, 1 << 20])
def test_excel_leaves_separator_lines_and_rows_of_commas(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(delimited, "BLOCK", block)
    for raw in (b"sep=,\r\na,b\r\n1,2\r\n3,\r\n,\r\n,\r\n", b"a,b\n1,2\n3,\n,\n,", b'"sep=,"\na,b\n1,2\n3,\n'):
        result = table(raw)
        np.testing.assert_array_equal(result.numbers(["a", "b"]), [[1, 2], [3, NAN]])
    assert table(b"sep=;\na;b\n1,5;x\n").text("a") == ["1,5"]
    with pytest.raises(DataError, match=r"line 3, column 'a': no text"):
        table(b"a,b\n1,2\n,\n3,4\n,\n").text("a")
    monkeypatch.setattr(delimited, "TAIL", 3)
    assert table(b"a,b\n1,2\n3,\n" + b",\n" * 9).numbers(["a"]).tolist() == [[1], [3]]


def test_lone_surrogates_are_refused_with_their_line() -> None:
    with pytest.raises(DataError, match=r"line 2: \\ud83d is half of a character"):
        table(b'{"a": "x"}\n{"a": "x \\ud83d"}\n', "jsonl", "a")
    assert table(b'{"a": "\\ud83d\\ude00"}\n', "jsonl", "a").text("a") == ["\U0001f600"]
