"""The values that a search tries: how they are typed, and which are refused."""

from __future__ import annotations

import optuna
import pytest

import seriatim
from seriatim.errors import UsageError
from seriatim.run.task_options import task_options
from seriatim.tasks.registry import NAMES
from seriatim.tune.space import INCOMPARABLE, NOT_TRIED, read_space


@pytest.mark.parametrize(
    ("name", "text", "distribution"),
    [
        ("hidden", "64..512", optuna.distributions.IntDistribution(64, 512)),
        ("hidden", "64..512:log", optuna.distributions.IntDistribution(64, 512, log=True)),
        ("hidden", "64..512:step=64", optuna.distributions.IntDistribution(64, 512, step=64)),
        ("lr", "1e-4..1e-2:log", optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True)),
        ("dropout", "0..0.5", optuna.distributions.FloatDistribution(0, 0.5)),
        ("dropout", "0..0.5:step=0.1", optuna.distributions.FloatDistribution(0, 0.5, step=0.1)),
        ("weight_decay", "0,0.01", optuna.distributions.CategoricalDistribution([0.0, 0.01])),
        ("model", "lstm, gru", optuna.distributions.CategoricalDistribution(["lstm", "gru"])),
        ("bidirectional", "true,false", optuna.distributions.CategoricalDistribution([True, False])),
        ("hidden", [8, 16], optuna.distributions.CategoricalDistribution([8, 16])),
        ("projection", "8,16", optuna.distributions.CategoricalDistribution([8, 16])),
        ("truncation", "50,100", optuna.distributions.CategoricalDistribution(["50", "100"])),
    ],
)
def test_spaces(name: str, text: object, distribution: optuna.distributions.BaseDistribution) -> None:
    (parameter,) = read_space("classify", {name: text})
    trial = optuna.create_study().ask()
    value = parameter.suggest(trial)
    assert trial.distributions == {name: distribution} and trial.params == {name: value}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("hiden", "1..2", r"no option 'hiden' to try \(did you mean 'hidden'\?\)"),
        ("hidden", "a..b", "hidden: got 'a..b', wanted two numbers"),
        ("hidden", "8..8", "wanted a lower number before a higher one"),
        ("hidden", "0..8", "hidden: got 0, wanted at least 1"),
        ("hidden", "1.5..8", "wanted whole numbers"),
        ("hidden", "8..64:lin", "wanted :log or :step=NUMBER"),
        ("hidden", "1..inf", "hidden: got '1..inf', wanted two numbers"),
        ("hidden", "nan..8", "wanted two numbers"),
        ("lr", "1e-4..inf", "wanted two numbers"),
        ("hidden", "8..64:step=inf", "wanted :log or :step=NUMBER"),
        ("hidden", "8..64:step=0", "wanted :log or :step=NUMBER"),
        ("hidden", "8..64:step=x", "wanted :log or :step=NUMBER"),
        ("dropout", "0..0.5:log", "wanted a range above 0 for :log"),
        ("dropout", "0..1", "dropout: got 1"),
        ("model", "1..3", "wanted a list of values separated by commas"),
        ("model", "lstm,gruu", r"'gruu' is not one of .*did you mean 'gru'"),
        ("model", "lstm,lstm", "wanted different values"),
        ("lr", "1e-3,0.001", "wanted different values"),
        ("model", "lstm,", "wanted different values"),
        ("unit", "word,char", "unit changes the data or the measure"),
        ("out", "a,b", "no option 'out' to try"),
        ("horizon", "1..3", "no option 'horizon' to try"),
    ],
)
def test_wrong_spaces(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_space("classify", {name: text})


def test_empty_space_is_refused() -> None:
    with pytest.raises(UsageError, match="no option to try"):
        read_space("classify", {})


@pytest.mark.parametrize("task", NAMES)
def test_default_space_of_each_task_is_valid(task: str) -> None:
    space = seriatim.tune.default_space(task)
    assert [parameter.name for parameter in read_space(task, space)] == list(space)


def test_lists_of_refused_options_name_real_ones() -> None:
    options = {name for task in NAMES for name in task_options(task)}
    assert {*NOT_TRIED, *INCOMPARABLE} <= options
