"""Exported language models give the results of their runs."""

from __future__ import annotations

import pytest

from runtime_settings import SETTINGS
from seriatim.errors import UsageError

LINES = ["to be or not", "the question", "zzz unknown", "a" * 1100]


@pytest.mark.parametrize("name", SETTINGS)
def test_predictions_equal_those_of_the_run(language_pair, name):
    run, model = language_pair(name)
    for theirs, ours in zip(run.predict(LINES), model.predict(LINES), strict=True):
        assert ours["log_probability"] == pytest.approx(theirs["log_probability"], rel=1e-5, abs=1e-5)
        assert {**ours, "log_probability": 0, "perplexity": 0} == {**theirs, "log_probability": 0, "perplexity": 0}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"seed": 5, "temperature": 0.9, "top_k": 7, "top_p": 0.9},
        {"seed": 5, "repetition_penalty": 1.3},
        {"seed": 5, "prompt": "to be", "stop": "e"},
    ],
)
def test_text_equals_that_of_the_run(language_pair, name, options):
    run, model = language_pair(name)
    assert "".join(model.generate(length=40, **options)) == "".join(run.generate(length=40, **options))


def test_generated_text_depends_on_the_seed(language_pair):
    _, model = language_pair("lstm")
    assert "".join(model.generate(seed=1, length=50)) != "".join(model.generate(seed=2, length=50))


def test_bad_options_are_refused_at_once(language_pair):
    _, model = language_pair("lstm")
    for options in ({"length": -1}, {"temperature": -1.0}, {"repetition_penalty": 0.0}, {"stop": ""}):
        with pytest.raises(UsageError):
            model.generate(**options)


def test_forecast_is_refused(language_pair):
    with pytest.raises(UsageError, match="forecast: for forecast models; this is a language model"):
        language_pair("lstm")[1].forecast([1.0])
