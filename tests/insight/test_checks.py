"""Each check finds the fault that was planted for it, and accuses no sound network."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from insight.planting import data, evidence, network, parameter
from seriatim.insight.calibration import Calibration
from seriatim.insight.checks.check import Check
from seriatim.insight.checks.table import CHECKS, run_checks
from seriatim.insight.data import DataMeasures, Leak
from seriatim.insight.network import NetworkMeasures
from seriatim.insight.verdict import horizons, verdict


def results(case) -> dict[str, Check]:
    return {check.name: check for check in run_checks(case)}


def accused(case) -> set[str]:
    return {check.name for check in run_checks(case) if check.status in ("fault", "warning")}


def constant_forget(value: float):
    def plant(body: torch.nn.Module) -> None:
        for name in ("weight_ih", "weight_hh"):
            parameter(body, name)[12:24] = 0.0
        parameter(body, "bias_ih")[12:24] = value
        parameter(body, "bias_hh")[12:24] = 0.0

    return plant


def recurrent(value: float):
    def plant(body: torch.nn.Module) -> None:
        weight = parameter(body, "weight_hh")
        weight.copy_(value * torch.linalg.qr(torch.randn_like(weight)).Q)

    return plant


def shift(amount: float):
    def plant(body: torch.nn.Module) -> None:
        parameter(body, "bias_ih").add_(amount)

    return plant


def saturate_gates(body: torch.nn.Module) -> None:
    for name in ("weight_ih", "weight_hh"):
        parameter(body, name)[36:] *= 80.0


PLANTED = {
    "vanishing_gradient": ("rnn", recurrent(0.3), {}),
    "exploding_gradient": ("rnn", recurrent(1.3), {"activation": "relu"}),
    "gates_open": ("lstm", constant_forget(12.0), {}),
    "gates_shut": ("lstm", constant_forget(-12.0), {}),
    "saturation": ("rnn", recurrent(1.0), {"scale": 60.0}),
    "gate_saturation": ("lstm", saturate_gates, {}),
    "dead_units": ("rnn", shift(-50.0), {"activation": "relu"}),
}


@cache
def planted(name: str) -> NetworkMeasures:
    model, plant, options = PLANTED[name]
    return network(model, plant, **options)


@cache
def sound(model: str, layers: int) -> NetworkMeasures:
    return network(model, layers=layers, hidden=16)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fault_is_named(name: str) -> None:
    options = {"lr": 1e-3, "clip": 1.0, "activation": PLANTED[name][2].get("activation", "tanh")}
    check = results(evidence(planted(name), model=PLANTED[name][0], options=options))[name]
    assert check.status == "fault", check
    assert check.advice.startswith("--") and check.evidence and check.value is not None


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn", "minlstm", "mingru", "slstm", "lru"])
def test_sound_network_is_not_accused_of_its_dynamics(model: str, layers: int) -> None:
    """Random weights at their usual start; the data need 4 steps, which every cell can remember."""
    assert accused(evidence(sound(model, layers), need=4, model=model)) <= {"context"}


@pytest.mark.parametrize(
    ("need", "limit", "status"), [(20, 60, "ok"), (60, 60, "ok"), (60, 40, "warning"), (60, 20, "fault")]
)
def test_reach(need: int, limit: int, status: str) -> None:
    check = results(evidence(need=need, limit=limit))["reach"]
    assert check.status == status
    assert not check.advice if status == "ok" else check.advice == f"--truncation {limit},75"


def test_data_without_order_are_named() -> None:
    assert results(evidence(need=0))["order"].status == "warning"
    assert results(evidence(need=3))["order"].status == "ok"


def rows(*losses: tuple[float, float]) -> list[dict[str, float]]:
    return [
        {"step": 100 * (n + 1), "epoch": n + 1.0, "train_loss": a, "valid_nll": b, "gradient_norm": 0.5, "clipped": 0.1}
        for n, (a, b) in enumerate(losses)
    ]


FALLING = rows((3, 3), (2, 2.1), (1.6, 1.8), (1.4, 1.7), (1.35, 1.68), (1.33, 1.675), (1.32, 1.674), (1.31, 1.675))


def test_settled_training_is_not_accused() -> None:
    assert accused(evidence(rows=FALLING)) == set()


def test_loss_that_does_not_settle_is_named() -> None:
    wild = rows((3, 3), (4, 3.4), (2.9, 3.1), (4.2, 3.6), (3.1, 3.3), (4.4, 3.9))
    check = results(evidence(rows=wild))["learning_rate_high"]
    assert (check.status, check.advice) == ("fault", "--lr 0.0001")


@pytest.mark.parametrize(("lr", "status", "advice"), [(1e-6, "fault", "--lr 0.001"), (1e-3, "ok", "")])
def test_weights_that_cannot_have_moved_are_named(lr: float, status: str, advice: str) -> None:
    """Adam moves a weight by about lr at each of 800 updates."""
    check = results(evidence(rows=FALLING, options={"lr": lr, "optimizer": "adam"}))["learning_rate_low"]
    assert (check.status, check.advice) == (status, advice)


def test_loss_that_falls_evenly_and_hardly_is_named() -> None:
    slow = rows((2.2087, 2.2), (2.2083, 2.2), (2.2080, 2.2), (2.2077, 2.2))
    assert results(evidence(rows=slow))["learning_rate_low"].status == "fault"
    assert results(evidence(rows=FALLING))["learning_rate_low"].status == "ok"
    for ratio, status in ((2e-4, "fault"), (1e-2, "ok")):  # a network that starts from a good model gains little
        signals = {"update_ratio/a": ratio, "update_ratio/b": ratio, "update_ratio/zeros": 0.5}
        check = results(evidence(rows=[{**row, **signals} for row in slow]))["learning_rate_low"]
        assert check.status == status


def test_training_that_ended_early_is_named() -> None:
    early = rows((3, 3), (2.7, 2.7), (2.4, 2.4), (2.1, 2.1), (1.8, 1.8), (1.5, 1.5))
    check = results(evidence(rows=early))["still_learning"]
    assert (check.status, check.advice) == ("warning", "--epochs 12")


def test_overfitting_is_named() -> None:
    over = rows((3, 3), (2, 2), (1, 1.8), (0.5, 2.2), (0.2, 3.0))
    assert results(evidence(rows=over))["overfitting"].advice == "--dropout 0.2"


def test_gradient_that_is_always_clipped_is_named() -> None:
    clipped = [{**row, "clipped": 1.0, "gradient_norm": 80.0} for row in FALLING]
    assert results(evidence(rows=clipped))["clipping"].status == "warning"


def test_burst_of_an_unclipped_gradient_is_named() -> None:
    burst = [{**FALLING[0], "gradient_norm": 4e8}, *FALLING[1:]]
    check = results(evidence(rows=burst, options={"clip": 0.0}))["clipping"]
    assert (check.status, check.advice) == ("fault", "--clip 1")
    assert results(evidence(rows=FALLING, options={"clip": 0.0}))["clipping"].status == "ok"


@pytest.mark.parametrize(("value", "status"), [(5.0, "ok"), (7.0, "warning")])
def test_baseline_that_wins_is_named(value: float, status: str) -> None:
    case = evidence(main_score="perplexity", scores={"perplexity": value}, baselines={"markov": {"perplexity": 6.0}})
    assert results(case)["baselines"].status == status


@pytest.mark.parametrize(("accuracy", "status"), [(0.9, "ok"), (0.51, "warning")])
def test_labels_that_inputs_do_not_explain_are_named(accuracy: float, status: str) -> None:
    case = evidence(task="classify", scores={"accuracy": accuracy}, baselines={"majority": {"accuracy": 0.5}})
    assert results(case)["labels"].status == status


@pytest.mark.parametrize(("error", "status"), [(0.02, "ok"), (0.3, "warning")])
def test_wrong_confidence_is_named(error: float, status: str) -> None:
    case = evidence(task="classify", calibration=Calibration((0.9,), (0.9 - error,), error, 0.05))
    assert results(case)["calibration"].status == status


def forecast(measures: DataMeasures, **options: object):
    return evidence(task="forecast", data=measures, options={"season": 1, **options})


def test_leak_is_named_with_the_columns_that_stay() -> None:
    measures = DataMeasures(data(5).information, leaks=(Leak("tomorrow", 1, 0.99, 0.2),))
    check = results(forecast(measures, covariates=("tomorrow", "wind")))["leak"]
    assert (check.status, check.advice) == ("fault", "--covariates wind")


@pytest.mark.parametrize(
    ("season", "value", "status"),
    [(1, 0.5, "warning"), (7, 0.1, "warning"), (12, 0.9, "ok"), (24, 0.85, "ok"), (11, 0.7, "ok")],
)
def test_season(season: int, value: float, status: str) -> None:
    measures = DataMeasures(
        data(5).information, period=12, season_strength={12: 0.9, season: value if season != 12 else 0.9}
    )
    check = results(forecast(measures, season=season))["season"]
    assert check.status == status
    assert check.advice == ("--season 12" if status == "warning" else "")


def test_constant_column_is_named() -> None:
    measures = DataMeasures(data(5).information, constant=("b",))
    check = results(forecast(measures, covariates=("a", "b")))["constant_inputs"]
    assert (check.status, check.advice) == ("warning", "--covariates a")


@pytest.mark.parametrize(("repeated", "status"), [(0, "ok"), (3, "warning"), (40, "fault")])
def test_repeated_rows(repeated: int, status: str) -> None:
    measures = DataMeasures(repeated=repeated, test_rows=100)
    assert results(evidence(task="classify", data=measures))["repeated_rows"].status == status


def test_checks_without_evidence_are_unknown() -> None:
    checks = run_checks(evidence(data=DataMeasures(), limit=0, options={}))
    assert {check.status for check in checks} == {"unknown"}
    assert len({check.name for check in checks}) == len(CHECKS)
    assert all(check.condition for check in checks)


def test_verdict_names_what_limits_the_model() -> None:
    case = evidence(sound("gru", 1), need=90, limit=20)
    sentence = verdict(case, run_checks(case))
    assert "the data repay about 90" in sentence
    assert "the truncation (20) is what limits it; try --truncation 20,150" in sentence


def test_verdict_of_a_vanishing_gradient() -> None:
    case = evidence(planted("vanishing_gradient"), need=40, limit=60, model="rnn")
    assert "its gradient vanishes after" in verdict(case, run_checks(case))
    assert "try --model lstm" in verdict(case, run_checks(case))


def test_verdict_adds_other_faults() -> None:
    case = evidence(planted("gates_open"), need=4)
    assert verdict(case, run_checks(case)).endswith("Also: gates open")


def test_horizons_are_those_of_the_contract() -> None:
    case = evidence(sound("gru", 1), need=20, limit=35)
    assert set(horizons(case)) == {"gradient", "ablation", "data", "truncation"}
    assert horizons(case)["data"] == 20 and horizons(case)["truncation"] == 35
