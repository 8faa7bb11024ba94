"""Tests of sampling units from a step function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seriatim.decoding.sampling import draw, greedy, penalize_repetition, probabilities, sample
from seriatim.errors import DataError, UsageError

logits = st.lists(st.floats(-30, 30) | st.just(-np.inf), min_size=1, max_size=12).filter(
    lambda values: max(values) > -np.inf
)


def table(token: int, state: int) -> tuple[np.ndarray, int]:
    """A step over four units that depends on the unit and on how many steps have passed."""
    chances = np.roll([0.5, 0.3, 0.15, 0.05], token + state)
    return np.log(chances), state + 1


def draw_units(seed: int, length: int = 40, **options: float) -> list[int]:
    return list(sample(table, 0, 0, length, generator=np.random.default_rng(seed), **options))


def test_same_seed_gives_same_units() -> None:
    assert draw_units(1) == draw_units(1)
    assert draw_units(1) != draw_units(2)


def test_state_and_unit_are_fed_back() -> None:
    token, state, expected = 0, 0, []
    for _ in range(10):
        ahead, state = table(token, state)
        token = int(ahead.argmax())
        expected.append(token)
    assert list(greedy(table, 0, 0, 10)) == expected
    assert len(set(expected)) > 1


def test_greedy_is_temperature_zero_and_top_k_one() -> None:
    expected = list(greedy(table, 0, 0, 40))
    assert draw_units(3, temperature=0.0) == expected
    assert draw_units(3, top_k=1) == expected
    assert draw_units(3, temperature=1e-9) == expected
    assert draw_units(3, top_p=1e-9) == expected
    assert draw_units(3) != expected


def test_units_are_drawn_on_demand() -> None:
    tokens = []

    def step(token: int, state: None) -> tuple[np.ndarray, None]:
        tokens.append(token)
        return np.log([0.5, 0.5]), None

    units = sample(step, None, 1, 10**9, generator=np.random.default_rng(0))
    assert tokens == []
    next(units)
    assert tokens == [1]


def test_stop_unit_ends_sequence_and_is_not_yielded() -> None:
    whole = draw_units(1)
    stop = whole[5]
    until = list(sample(table, 0, 0, 40, generator=np.random.default_rng(1), stop={stop}))
    assert until == whole[: whole.index(stop)]
    assert list(greedy(table, 0, 0, 0)) == []


@given(logits, st.floats(0, 5), st.integers(0, 15), st.floats(0.01, 1))
def test_probabilities_sum_to_one(values: list[float], temperature: float, top_k: int, top_p: float) -> None:
    chances = probabilities(values, temperature=temperature, top_k=top_k, top_p=top_p)
    assert chances.shape == (len(values),)
    assert abs(chances.sum() - 1) < 1e-12
    assert (chances >= 0).all()
    assert not chances[np.isneginf(values)].any()
    assert chances.argmax() == np.argmax(values) or chances.max() == chances[np.argmax(values)]


@given(logits, st.integers(1, 15))
def test_top_k_keeps_the_k_likeliest(values: list[float], k: int) -> None:
    top = np.flatnonzero(probabilities(values, top_k=k))
    assert 1 <= len(top) <= k
    assert set(top) <= set(np.argsort(-np.array(values), kind="stable")[:k])
    chances = probabilities(values)
    top_chances = probabilities(values, top_k=k)
    np.testing.assert_allclose(top_chances[top] / top_chances[top[0]], chances[top] / chances[top[0]], rtol=1e-9)


@given(logits, st.floats(0.05, 1))
def test_top_p_keeps_the_fewest_that_reach_p(values: list[float], p: float) -> None:
    chances = probabilities(values)
    is_kept = probabilities(values, top_p=p) > 0
    mass = chances[is_kept].sum()
    assert mass >= p - 1e-12
    if is_kept.sum() > 1:
        assert mass - chances[is_kept].min() < p + 1e-12
    assert chances[is_kept].min() >= chances[~is_kept].max(initial=0.0)


def test_top_p_against_hand_calculation() -> None:
    chances = probabilities(np.log([0.1, 0.4, 0.3, 0.2]), top_p=0.6)
    np.testing.assert_allclose(chances, [0, 4 / 7, 3 / 7, 0], rtol=1e-12)
    combined = probabilities(np.log([0.1, 0.4, 0.3, 0.2]), top_k=3, top_p=0.6)  # 0.4 + 0.3, out of 0.9 after top_k
    np.testing.assert_allclose(combined, [0, 4 / 7, 3 / 7, 0], rtol=1e-12)


def test_ties_keep_their_order() -> None:
    np.testing.assert_array_equal(probabilities(np.zeros(4), top_k=2), [0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(probabilities(np.zeros(4), temperature=0.0), [1, 0, 0, 0])


def test_temperature_sharpens_and_flattens() -> None:
    chances = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(probabilities(np.log(chances), temperature=1.0), chances, rtol=1e-12)
    squares = chances**2 / (chances**2).sum()
    np.testing.assert_allclose(probabilities(np.log(chances), temperature=0.5), squares, rtol=1e-12)
    np.testing.assert_allclose(probabilities(np.log(chances), temperature=1e9), np.full(3, 1 / 3), rtol=1e-8)
    assert np.array_equal(probabilities(np.log(chances), temperature=1e-300), [1, 0, 0])


def test_frequencies_are_the_probabilities() -> None:
    chances = np.array([0.5, 0.3, 0.15, 0.05, 0.0])
    generator = np.random.default_rng(0)
    counts = np.bincount([draw(chances, generator) for _ in range(20_000)], minlength=5)
    # Five standard deviations of a binomial share; a unit with probability 0 is never drawn.
    assert (np.abs(counts / 20_000 - chances) <= 5 * np.sqrt(chances * (1 - chances) / 20_000)).all()
    assert not (np.abs(counts / 20_000 - chances[::-1]) <= 5 * np.sqrt(chances * (1 - chances) / 20_000)).all()


class Fixed(np.random.Generator):
    """A generator that always returns the same number."""

    def __init__(self, number: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.number = number

    def random(self) -> float:  # type: ignore[override]
        return self.number


@pytest.mark.parametrize("chances", [[0.0, 0.3, 0.6999, 0.0], [0.0, 0.1, 0.2, 0.0], [0.0, 1.0, 1.0, 0.0]])
def test_interval_ends_draw_units_with_positive_probability(chances: list[float]) -> None:
    assert draw(np.array(chances), Fixed(0.0)) == 1
    assert draw(np.array(chances), Fixed(np.nextafter(1.0, 0.0))) == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_p", float("nan")),
    ],
)
def test_options_out_of_range_are_refused_before_the_first_unit(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{option}: got {value}"):
        sample(table, 0, 0, 5, generator=np.random.default_rng(0), **{option: value})


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(UsageError, match="length: got -1"):
        greedy(table, 0, 0, -1)


@pytest.mark.parametrize("values", [[0.0, float("nan")], [-np.inf, -np.inf], [np.inf, 0.0], [], [[0.0]]])
def test_invalid_log_probabilities_are_refused(values: list[float]) -> None:
    with pytest.raises(DataError, match="log_probabilities"):
        probabilities(values)


# Repetition penalty


@given(logits, st.floats(0.1, 5), st.data())
def test_penalty_is_power_of_probability(values: list[float], penalty: float, data: Any) -> None:
    used_units = data.draw(st.sets(st.integers(0, len(values) - 1)))
    chances = probabilities(values)
    expected = np.array([chance**penalty if unit in used_units else chance for unit, chance in enumerate(chances)])
    np.testing.assert_allclose(
        np.exp(penalize_repetition(values, used_units, penalty)), expected, rtol=1e-6, atol=1e-12
    )


def test_penalty_is_invariant_to_logit_shift() -> None:
    values = np.array([2.0, -1.0, 0.5])
    np.testing.assert_allclose(
        penalize_repetition(values + 7.0, {1}, 1.7), penalize_repetition(values, {1}, 1.7), rtol=1e-12
    )


def even(token: int, state: None) -> tuple[np.ndarray, None]:
    return np.log([0.4, 0.3, 0.2, 0.1]), None


def test_large_penalty_draws_each_unit_once_in_order() -> None:
    def units(**options: Any) -> list[int]:
        return list(sample(even, None, 0, 4, temperature=0.0, generator=np.random.default_rng(0), **options))

    assert units() == [0, 0, 0, 0]
    assert units(repetition_penalty=50.0) == [0, 1, 2, 3]
    assert units(repetition_penalty=50.0, context=[0, 2])[:2] == [1, 3]
    assert units(repetition_penalty=0.02, context=[3]) == [3, 3, 3, 3], "a penalty below 1 favours repetition"


def test_penalty_of_1_changes_nothing() -> None:
    assert draw_units(1, repetition_penalty=1.0) == draw_units(1)
    assert draw_units(1, repetition_penalty=1.5) != draw_units(1)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_penalty_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match=f"repetition_penalty: got {value}"):
        sample(table, 0, 0, 5, generator=np.random.default_rng(0), repetition_penalty=value)
