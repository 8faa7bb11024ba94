"""``seriatim train``."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("hello\n", encoding="utf-8")
    return file


def test_options_are_converted_to_their_types(seriatim, runs, corpus):
    result = seriatim("train", "language", corpus, "--hidden", 64, "--time-limit", "2m", "--tie", "--lr", "1e-2")
    assert result.code == 0
    assert runs.calls == [("language", corpus, {"hidden": 64, "time_limit": 120.0, "tie": True, "lr": 0.01})]


@pytest.mark.parametrize(("flag", "value"), [("--layer-norm", True), ("--no-layer-norm", False)])
def test_layer_norm_has_a_flag_for_each_value(seriatim, runs, corpus, flag, value):
    assert seriatim("train", "language", corpus, flag).code == 0
    assert runs.calls[0] == ("language", corpus, {"layer_norm": value})


def test_several_files(seriatim, runs, corpus):
    seriatim("train", "language", corpus, corpus)
    assert runs.calls == [("language", [corpus, corpus], {})]


def test_lists_and_off_flags(seriatim, runs, corpus):
    seriatim("train", "forecast", corpus, "--target", "1,2", "--split", "8,2,2", "--no-header")
    assert runs.calls == [("forecast", corpus, {"target": ("1", "2"), "split": (8, 2, 2), "header": False})]


def test_result_on_stdout_and_progress_on_stderr(seriatim, runs, corpus):
    result = seriatim("train", "language", corpus)
    assert result.out.splitlines() == [
        "  model    perplexity     nll",
        "  markov        4.750  1.5500",
        "> lstm          5.013  1.6120",
        "  unigram      28.100  3.3000",
        "  cbow              -       -",
        "",
        "lstm LOSES to markov: perplexity 5.01, best baseline markov 4.75",
        "432,100 parameters, 1 epoch, 148.2 seconds",
        "run folder: runs/language-lstm-1",
    ]
    assert "valid_perplexity 5.25" in result.err and "baseline: markov" in result.err
    assert "\x1b" not in result.out + result.err


def test_json_is_only_the_result(seriatim, runs, corpus):
    out = json.loads(seriatim("train", "language", corpus, "--json").out)
    assert out["scores"] == {"nll": 1.612, "perplexity": 5.013}
    assert out["baselines"]["cbow"] == {"nll": None, "perplexity": None}


def test_quiet(seriatim, runs, corpus):
    result = seriatim("train", "language", corpus, "--quiet")
    assert result.err == "" and "run folder" in result.out
