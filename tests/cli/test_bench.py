"""``seriatim bench``: what it tells and what it refuses. Nothing here looks at how long anything took."""

from __future__ import annotations

import json
import sys

import pytest

TINY = ("--shape", "3,2,4,5", "--seconds", "0.001", "--threads", "1")


@pytest.fixture(autouse=True)
def small_probe(monkeypatch):
    monkeypatch.setattr("seriatim.bench.layer_timing.PROBE", 32)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_json_has_both_sides(seriatim, cell):
    said = seriatim("bench", "--cell", cell, *TINY, "--json")
    told = json.loads(said.out)
    assert said.code == 0 and told["threads"] == 1
    assert [one["mode"] for one in told["results"]] == ["train", "infer"]
    for one in told["results"]:
        assert one["cell"] == cell and one["shape"] == [3, 2, 4, 5]
        assert one["seriatim"]["median"] > 0 and one["torch"]["median"] > 0 and one["seriatim"]["count"] >= 5
        assert one["ratio"]["low"] <= one["ratio"]["median"] <= one["ratio"]["high"]
        assert one["share_of_matmul"] > 0


@pytest.mark.parametrize("dtype", ["float64", "bf16", "autocast"])
def test_every_dtype_and_lengths(seriatim, dtype):
    said = seriatim("bench", *TINY, "--mode", "train", "--dtype", dtype, "--lengths", "--json")
    (one,) = json.loads(said.out)["results"]
    assert (one["dtype"], one["lengths"]) == (dtype, True)


def test_the_table_has_a_row_for_each_shape(seriatim):
    said = seriatim("bench", *TINY, "--shape", "2,1,3,4", "--mode", "infer")
    rows = said.out.split("\n\n")[0].splitlines()
    assert rows[0].split()[:2] == ["shape", "mode"]
    assert [row.split()[:2] for row in rows[1:]] == [["3,2,4,5", "infer"], ["2,1,3,4", "infer"]]
    assert "runs on" in said.out and said.err.count("measuring") == 2


@pytest.mark.parametrize(
    ("words", "told"),
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
def test_what_it_refuses(seriatim, words, told):
    said = seriatim("bench", *words)
    assert (said.code, said.out, said.err) == (2, "", f"seriatim: error: {told}\n")


def test_without_torch_it_names_the_extra(seriatim, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("seriatim.run")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    said = seriatim("bench", *TINY)
    assert said.code == 1 and "pip install 'seriatim[train]'" in said.err
