"""``seriatim bench``: its output and its errors. No test depends on a time."""

from __future__ import annotations

import json
import sys

import pytest

TINY = ("--shape", "3,2,4,5", "--seconds", "0.001", "--threads", "1")


@pytest.fixture(autouse=True)
def small_matrix(monkeypatch):
    monkeypatch.setattr("seriatim.bench.layer_timing.PROBE", 32)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_json_has_both_layers(seriatim, cell):
    result = seriatim("bench", "--cell", cell, *TINY, "--json")
    content = json.loads(result.out)
    assert result.code == 0 and content["threads"] == 1
    assert [row["mode"] for row in content["results"]] == ["train", "infer"]
    for row in content["results"]:
        assert row["cell"] == cell and row["shape"] == [3, 2, 4, 5]
        assert row["seriatim"]["median"] > 0 and row["torch"]["median"] > 0 and row["seriatim"]["count"] >= 5
        assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
        assert row["share_of_matmul"] > 0


@pytest.mark.parametrize("dtype", ["float64", "bf16", "autocast"])
def test_every_dtype_and_lengths(seriatim, dtype):
    result = seriatim("bench", *TINY, "--mode", "train", "--dtype", dtype, "--lengths", "--json")
    (row,) = json.loads(result.out)["results"]
    assert (row["dtype"], row["lengths"]) == (dtype, True)


def test_table_has_a_row_for_each_shape(seriatim):
    result = seriatim("bench", *TINY, "--shape", "2,1,3,4", "--mode", "infer")
    rows = result.out.split("\n\n")[0].splitlines()
    assert rows[0].split()[:2] == ["shape", "mode"]
    assert [row.split()[:2] for row in rows[1:]] == [["3,2,4,5", "infer"], ["2,1,3,4", "infer"]]
    assert "runs on" in result.out and result.err.count("measuring") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shape", "3,2,4"], "--shape: got '3,2,4', wanted four whole numbers T,B,I,H"),
        (["--shape", "3,0,4,5"], "--shape: got 3,0,4,5, wanted four numbers of at least 1: T,B,I,H"),
        (["--cell", "lsmt"], "--cell: 'lsmt' is not one of rnn, lstm, gru (did you mean 'lstm'?)"),
        (["--mode", "trian"], "--mode: 'trian' is not one of train, infer (did you mean 'train'?)"),
        (["--dtype", "int8"], "--dtype: 'int8' is not one of float32, float64, bf16, autocast"),
        (["--threads", "0"], "--threads: got 0, wanted at least 1"),
        (["--seconds", "0"], "--seconds: got 0, wanted more than 0"),
    ],
)
def test_wrong_options_are_refused(seriatim, words, message):
    result = seriatim("bench", *words)
    assert (result.code, result.out, result.err) == (2, "", f"seriatim: error: {message}\n")


def test_without_torch_it_names_the_extra(seriatim, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("seriatim.run")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = seriatim("bench", *TINY)
    assert result.code == 1 and "pip install 'seriatim[train]'" in result.err
