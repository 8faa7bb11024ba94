"""Piano rolls from MATLAB cells, arrays and lists."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from seriatim.data.files import InputStream
from seriatim.data.rolls import read_rolls
from seriatim.errors import DataError, SeriatimError, UsageError


def pieces(count: int, seed: int = 0, notes: int = 5) -> list[np.ndarray[Any, Any]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, 2, (int(draw.integers(2, 9)), notes)).astype(np.uint8) for _ in range(count)]


def cell(items: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty((1, len(items)), dtype=object)
    array[0] = items
    return array


def test_mat_file_defines_parts(tmp_path: Path) -> None:
    expected = pieces(6)
    parts = {"traindata": expected[:3], "validdata": expected[3:5], "testdata": expected[5:]}
    scipy.io.savemat(tmp_path / "x.mat", {name: cell(part) for name, part in parts.items()})
    result = read_rolls(tmp_path / "x.mat")
    cut = result.parts()
    assert cut is not None and [len(part) for part in cut.values()] == [3, 2, 1] and result.notes == 5
    for piece, expected_piece in zip(result.pieces, expected, strict=True):
        np.testing.assert_array_equal(piece, expected_piece)


def test_arrays_in_files_and_in_memory(tmp_path: Path) -> None:
    expected = pieces(2)
    for number, piece in enumerate(expected):
        np.save(tmp_path / f"{number}.npy", piece.astype(float))
    for source in (expected, [tmp_path / "0.npy", str(tmp_path / "1.npy")]):
        result = read_rolls(source)
        assert result.parts() is None
        assert all(np.array_equal(*pair) for pair in zip(result.pieces, expected, strict=True))
    assert len(read_rolls(tmp_path / "0.npy").pieces) == 1


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ([], DataError, "no pieces"),
        (5, UsageError, "got int, wanted a .mat or .npy file"),
        ("gone.mat", DataError, "gone.mat: no such file"),
        ("gone.npy", DataError, "gone.npy: no such file"),
        ("song.mid", UsageError, "song.mid: a piano roll is a .mat or a .npy file"),
        ([np.zeros(3)], DataError, r"piece 1: shape \(3,\), wanted \[T, notes\]"),
        ([np.zeros((0, 3))], DataError, r"piece 1: shape \(0, 3\)"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], DataError, "piece 2: 4 notes, wanted 3"),
        ([np.array([[0, 1], [0, 2]])], DataError, "piece 1: step 2, note 1: 2, wanted 0 or 1"),
        ([np.array([[0, np.nan]])], DataError, "piece 1: step 1, note 1: nan"),
        ([[["a"]]], DataError, "piece 1: not an array of numbers"),
    ],
)
def test_bad_input_is_refused(source: object, error: type[SeriatimError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_rolls(source)


def test_open_file_is_read() -> None:
    file = io.BytesIO()
    np.save(file, np.eye(3))
    file.seek(0)
    (roll,) = read_rolls(InputStream(file, "npy")).pieces
    np.testing.assert_array_equal(roll, np.eye(3))
    with pytest.raises(DataError, match=r"^standard input: not a \.npy file of numbers that can be read$"):
        read_rolls(InputStream(io.BytesIO(b"junk"), "npy"))


def test_damaged_files(tmp_path: Path) -> None:
    (tmp_path / "junk.mat").write_text("junk" * 100)
    (tmp_path / "junk.npy").write_text("junk")
    np.save(tmp_path / "pickled.npy", cell(pieces(2)), allow_pickle=True)
    scipy.io.savemat(tmp_path / "other.mat", {"x": np.eye(2), "traindata": cell(pieces(1))})
    scipy.io.savemat(tmp_path / "flat.mat", {name: np.eye(2) for name in ("traindata", "validdata", "testdata")})
    for name, message in {
        "junk.mat": "not a MATLAB file that can be read",
        "junk.npy": "not a .npy file of numbers that can be read",
        "pickled.npy": "not a .npy file of numbers that can be read",
        "other.mat": "no 'validdata' (holds x, traindata), wanted traindata, validdata, testdata",
        "flat.mat": "'traindata' is no cell of pieces",
    }.items():
        with pytest.raises(DataError) as refused:
            read_rolls(tmp_path / name)
        assert message in str(refused.value)
