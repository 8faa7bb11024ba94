"""The weights of mixtures, and the choice between a blend and its members."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seriatim.decoding.mixing import mix_linear, mix_logits, mix_quantiles
from seriatim.notation import QUANTILES
from seriatim.tasks.common.blend import (
    ENOUGH,
    Blend,
    Choice,
    Member,
    choose_linear,
    choose_probabilities,
    choose_quantiles,
)
from seriatim.tasks.common.mixture_weights import (
    linear_weights,
    logit_weights,
    loss_weights,
    quantile_weights,
)

LEVELS = np.array(QUANTILES)


def chances(rows: int, classes: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.dirichlet(np.ones(classes), rows)


def test_linear_weights_are_the_best_of_a_grid() -> None:
    draw = np.random.default_rng(0)
    log_chances = np.log(draw.uniform(0.01, 1, (2, 400)) ** [[1.0], [1.4]])
    weights = linear_weights(log_chances)
    assert weights.sum() == pytest.approx(1)
    losses = {w: -mix_linear(log_chances, np.array([w, 1 - w])).mean() for w in np.linspace(0.001, 0.999, 999)}
    best = min(losses, key=lambda w: losses[w])
    assert weights[0] == pytest.approx(best, abs=2e-3)


def test_linear_mixture_sums_to_one() -> None:
    parts = np.log(np.stack([chances(7, 5, seed) for seed in range(3)]))
    mixed = np.exp(mix_linear(parts, np.array([0.2, 0.3, 0.5])))
    np.testing.assert_allclose(mixed.sum(1), 1.0)
    np.testing.assert_allclose(mixed, np.tensordot([0.2, 0.3, 0.5], np.exp(parts), 1))


def test_logit_weights_minimise_the_loss() -> None:
    draw = np.random.default_rng(1)
    truth = chances(2000, 3, 2)
    labels = np.array([draw.choice(3, p=row) for row in truth])
    blurred = np.log(truth) * 0.5  # the right exponent is 2
    blurred -= np.logaddexp.reduce(blurred, axis=1, keepdims=True)
    noise = np.log(chances(2000, 3, 5))
    weights = logit_weights(np.stack([blurred, noise]), labels)
    assert weights[0] == pytest.approx(2, abs=0.25) and weights[1] < 0.1
    np.testing.assert_allclose(np.exp(mix_logits(np.stack([blurred, noise]), weights)).sum(1), 1.0)


def test_quantile_weights_differ_by_horizon_step() -> None:
    draw = np.random.default_rng(3)
    actual = draw.normal(size=(500, 2))
    right = np.array([-1.2816, 0.0, 1.2816])
    good_first = np.stack([np.tile(right, (500, 1)), np.tile(right + 3, (500, 1))], 1)
    good_second = np.stack([np.tile(right - 3, (500, 1)), np.tile(right, (500, 1))], 1)
    quantiles = np.stack([good_first, good_second])
    weights = quantile_weights(quantiles, actual, np.ones_like(actual, bool), LEVELS, pooled=False)
    np.testing.assert_allclose(weights.sum(0), 1.0)
    assert (weights[0, 0] > 0.9).all() and (weights[1, 1] > 0.9).all()
    pooled = quantile_weights(quantiles, actual, np.ones_like(actual, bool), LEVELS, pooled=True)
    np.testing.assert_allclose(pooled[:, 0], pooled[:, 1])


def test_mean_is_weighed_by_squared_errors() -> None:
    draw = np.random.default_rng(4)
    actual = draw.normal(size=(3000, 1))
    parts = np.stack([actual + draw.normal(size=(3000, 1)), actual + 2 * draw.normal(size=(3000, 1))])[..., None]
    weights = quantile_weights(parts, actual, np.ones_like(actual, bool), np.array([np.nan]), pooled=False)
    assert weights[0, 0, 0] == pytest.approx(0.8, abs=0.05), "inverse variances are 1 and 1/4"


def test_unobserved_values_do_not_count() -> None:
    actual = np.full((60, 1), 1.0)
    quantiles = np.stack([np.full((60, 1, 3), 1.0), np.full((60, 1, 3), 5.0)])
    observed = np.ones((60, 1), bool)
    actual[::2], observed[::2] = 5.0, False
    weights = quantile_weights(quantiles, actual, observed, LEVELS, pooled=False)
    assert (weights[0] > 0.95).all()


def test_blend_of_two_complementary_models() -> None:
    log_chances = {"lstm": np.log(np.tile([0.9, 0.1], 50)), "markov": np.log(np.tile([0.1, 0.9], 50))}
    choice = choose_linear(log_chances)
    assert choice.best == "blend" and choice.form == "linear"
    assert choice.parts == pytest.approx({"lstm": 0.5, "markov": 0.5}, abs=1e-3)


def test_useless_model_is_left_out() -> None:
    choice = choose_linear({"lstm": np.log(np.full(100, 0.5)), "unigram": np.log(np.full(100, 0.01))})
    assert choice == Choice("lstm")


def test_classes_are_mixed_as_validates_better() -> None:
    draw = np.random.default_rng(6)
    truth = chances(3000, 4, 7)
    labels = np.array([draw.choice(4, p=row) for row in truth])
    halves = [np.log(truth) * share for share in (0.5, 0.5)]
    noisy = [half + draw.normal(scale=0.5, size=half.shape) for half in halves]
    parts = {f"m{i}": part - np.logaddexp.reduce(part, axis=1, keepdims=True) for i, part in enumerate(noisy)}
    assert choose_probabilities(parts, labels).form == "logits"
    switch = draw.random(3000) < 0.5  # each model knows the class of every other row, and says so
    sure, guess = np.log(np.eye(4)[labels] * 0.96 + 0.01), np.log(np.full((3000, 4), 0.25))
    experts = {"a": np.where(switch[:, None], sure, guess), "b": np.where(switch[:, None], guess, sure)}
    assert choose_probabilities(experts, labels).best == "blend"


def test_few_rows_get_equal_weights_without_trivial_models() -> None:
    rows = ENOUGH - 1
    draw = np.random.default_rng(8)
    log_chances = {
        "lstm": np.log(draw.uniform(0.4, 0.6, rows)),
        "bag": np.log(draw.uniform(0.4, 0.6, rows)),
        "majority": np.log(draw.uniform(0.4, 0.6, rows)),
        "bad": np.log(draw.uniform(0.01, 0.02, rows)),
    }
    choice = choose_linear(log_chances)
    assert choice.parts == {"lstm": 0.5, "bag": 0.5}
    assert (
        choice.note
        == f"blend: {rows} validation rows are too few to fit weights (wanted 50); lstm, bag have equal weights"
    )


def test_few_windows_are_weighed_by_their_losses() -> None:
    actual = np.zeros((20, 4))
    quantiles = {"lstm": np.full((20, 4, 3), 1.0), "ar": np.full((20, 4, 3), -1.2), "drift": np.full((20, 4, 3), 1.3)}
    observed = np.ones_like(actual, bool)
    choice = choose_quantiles(quantiles, actual, observed, LEVELS, windows=5)
    weights = np.array([1.0, 1.2**-5])
    assert choice.parts == pytest.approx(dict(zip(["lstm", "ar"], weights / weights.sum(), strict=True)))
    assert choice.note == (
        "blend: 5 validation windows that do not overlap are too few to fit weights (wanted 50); the weights follow "
        "from the losses: lstm 0.71, ar 0.29"
    )
    alone = choose_quantiles({**quantiles, "lstm": np.zeros((20, 4, 3))}, actual, observed, LEVELS, windows=5)
    assert (alone.best, alone.weights) == ("lstm", None) and alone.note.endswith("lstm alone has a weight")
    lucky = choose_quantiles({**quantiles, "naive": np.zeros((20, 4, 3))}, actual, observed, LEVELS, windows=1)
    assert lucky.parts == pytest.approx(choice.parts) and lucky.note.startswith("blend: 1 validation window is too few")
    assert choose_quantiles(quantiles, actual, ~observed, LEVELS, windows=5) == Choice("lstm")


def test_windows_that_do_not_overlap_decide_how_many_weights_are_fitted() -> None:
    draw = np.random.default_rng(3)
    actual = draw.normal(size=(400, 2))
    right = np.array([-1.2816, 0.0, 1.2816])
    good_first = np.stack([np.tile(right, (400, 1)), np.tile(right + 3, (400, 1))], 1)
    good_second = good_first[:, ::-1]
    observed = np.ones_like(actual, bool)

    def weights(windows: int | None) -> np.ndarray:
        quantiles = {"lstm": good_first, "ar": good_second}
        choice = choose_quantiles(quantiles, actual, observed, LEVELS, windows=windows)
        assert choice.weights is not None
        return choice.weights["lstm"]

    for windows in (None, 2 * ENOUGH):
        assert (weights(windows)[0] > 0.9).all() and (weights(windows)[1] < 0.1).all(), windows
    pooled = weights(2 * ENOUGH - 1)
    np.testing.assert_allclose(pooled[0], pooled[1])
    assert np.ptp(pooled[0]) > 1e-3, "the weights are fitted, for each quantile"
    assert np.ptp(weights(ENOUGH - 1)) == 0.0


def test_losses_that_are_not_numbers_get_no_weight() -> None:
    assert loss_weights(np.array([1.0, np.nan, np.inf])).tolist() == [1.0, 0.0, 0.0]
    assert loss_weights(np.array([0.0, 1.0])).tolist() == [1.0, 0.0]
    assert loss_weights(np.array([0.0, 0.0])).tolist() == [0.5, 0.5]
    assert loss_weights(np.array([np.nan, np.nan])).tolist() == [0.5, 0.5]


def test_stored_blend_mixes_alike() -> None:
    weights = {"lstm": np.full((2, 3), 0.25), "ar": np.full((2, 3), 0.75)}
    stored = json.loads(json.dumps(Choice("blend", "quantiles", weights).to_json()))
    members = {name: Member(name, None) for name in ("lstm", "naive", "ar")}
    blend = Blend.of(stored, members)
    assert [member.model for member in blend.members] == ["lstm", "ar"]
    parts = np.random.default_rng(9).normal(size=(2, 5, 2, 4, 3))
    np.testing.assert_array_equal(blend.mix(parts), mix_quantiles(parts, np.stack(list(weights.values()))))
    np.testing.assert_allclose(blend.mix(parts), 0.25 * parts[0] + 0.75 * parts[1])


@pytest.mark.parametrize(
    "stored",
    [
        {"form": "median", "weights": {"lstm": 1.0}},
        {"form": "linear", "weights": {"lstm": [1.0]}},
        {"form": "linear", "weights": {"lstm": -0.5, "ar": 1.5}},
        {"form": "quantiles", "weights": {"lstm": 1.0}},
        {"form": "linear", "weights": {"absent": 1.0}},
        {"form": "linear"},
    ],
)
def test_damaged_blend_is_refused(stored: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Blend.of(stored, {name: Member(None, None) for name in ("lstm", "ar")})


@pytest.mark.parametrize("unit", [1.0, 1e-3])
def test_quantile_weights_reach_the_minimum(unit: float) -> None:
    """Within 0.5 % of the smallest loss on a grid, in any unit. Equal weights are far from it, so this can fail."""
    draw = np.random.default_rng(10)
    actual = unit * draw.normal(size=(900, 1))
    spreads = unit * np.array([0.3, 0.5, 2.0])
    parts = np.stack([actual + draw.normal(scale=spread, size=(900, 1)) for spread in spreads])[..., None]

    def loss(weights: np.ndarray) -> float:
        return float(np.abs(actual - np.tensordot(weights, parts[..., 0], 1)).mean() / 2)

    weights = quantile_weights(parts, actual, np.ones_like(actual, bool), np.array([0.5]), pooled=False)[:, 0, 0]
    grid = [np.array([a, b, 1 - a - b]) for a in np.arange(0, 1.01, 0.02) for b in np.arange(0, 1.01 - a, 0.02)]
    lowest = min(map(loss, grid))
    assert loss(weights) < 1.005 * lowest < 0.7 * loss(np.full(3, 1 / 3))
