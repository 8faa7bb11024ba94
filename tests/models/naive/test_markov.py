"""The n-gram model against the textbook's formulas, spelled out with dictionaries."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from seriatim.decoding.sampling import sample
from seriatim.errors import DataError, UsageError
from seriatim.models.naive import markov
from seriatim.models.naive.deadline import Deadline
from seriatim.models.naive.markov import Markov

START = -1


def textbook(
    train: Sequence[int], vocabulary_size: int, order: int, *, continuation: bool = True
) -> Callable[..., float]:
    """P(w | h) by Chen & Goodman (1999), with counts in dictionaries; ``continuation=False`` is a wrong model."""
    counts: dict[int, Counter[tuple[int, ...]]] = {}
    for length in range(1, order + 2):
        ends = range(length, len(train) + 1)
        if length == order + 1 or not continuation:
            counts[length] = Counter(tuple(train[end - length : end]) for end in ends)
        else:
            preceding = defaultdict(set)
            for end in ends:
                previous = train[end - length - 1] if end > length else START
                preceding[tuple(train[end - length : end])].add(previous)
            counts[length] = Counter({gram: len(units) for gram, units in preceding.items()})

    def discount(length: int, count: int) -> float:
        n = Counter(counts[length].values())
        i = min(count, 3)
        if not (n[1] and n[2] and n[i] and n[i + 1]):
            return i / 2
        estimate = i - (i + 1) * n[1] / (n[1] + 2 * n[2]) * n[i + 1] / n[i]
        return estimate if 0 < estimate < i else i / 2

    def probability(unit: int, context: tuple[int, ...]) -> float:
        context = context[max(0, len(context) - order) :]
        lower = probability(unit, context[1:]) if context else 1 / vocabulary_size
        table = counts[len(context) + 1]
        following = {gram: count for gram, count in table.items() if gram[:-1] == context}
        total = sum(following.values())
        if not total:
            return lower
        own = table.get((*context, unit), 0)
        share = own - discount(len(context) + 1, own) if own else 0.0
        freed = sum(discount(len(context) + 1, count) for count in following.values())
        return (share + freed * lower) / total

    return probability


streams = st.integers(1, 6).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.lists(st.integers(0, size - 1), min_size=1, max_size=80),
        st.lists(st.integers(0, size - 1), min_size=0, max_size=20),
    )
)


@settings(max_examples=150, deadline=None)
@given(streams, st.integers(0, 4))
def test_equals_textbook_implementation(stream: tuple[int, list[int], list[int]], order: int) -> None:
    # Absolute error of probabilities in float64; both sides do the same few operations in another order.
    size, train, test = stream
    probability = textbook(train, size, order)
    expected = [probability(unit, tuple(test[:place])) for place, unit in enumerate(test)]
    model = Markov.fit(train, size, order)
    np.testing.assert_allclose(np.exp(model.log_probabilities(test)), expected, rtol=0, atol=1e-13)


def test_the_textbook_comparison_can_fail() -> None:
    train = np.random.default_rng(0).choice(4, 200, p=[0.6, 0.2, 0.1, 0.1]).tolist()
    raw_counts_below = textbook(train, 4, 2, continuation=False)
    model = Markov.fit(train, 4, 2)
    ours = np.exp(model.step([0, 3]))
    assert max(abs(ours[unit] - raw_counts_below(unit, (0, 3))) for unit in range(4)) > 1e-3


def test_example_by_hand() -> None:
    # counts 2 and 1: Y = 1/3, D1 = 1/3, D2 = 1 (no count of 3), so 4/9 of the mass goes to the uniform
    model = Markov.fit([0, 0, 1], 2, 0)
    np.testing.assert_allclose(np.exp(model.step([])), [1 / 3 + 2 / 9, 2 / 9 + 2 / 9], rtol=1e-15)


@settings(max_examples=100, deadline=None)
@given(streams, st.integers(0, 8))
def test_step_sums_to_one_and_equals_log_probabilities(stream: tuple[int, list[int], list[int]], order: int) -> None:
    size, train, past = stream
    model = Markov.fit(train, size, order)
    ahead = model.step(past)
    assert ahead.shape == (size,)
    assert abs(np.exp(ahead).sum() - 1) < 1e-12
    assert np.isfinite(ahead).all()
    one_by_one = [model.log_probabilities([unit], history=past)[0] for unit in range(size)]
    np.testing.assert_allclose(ahead, one_by_one, rtol=0, atol=1e-12)


def test_split_reading_equals_whole_reading() -> None:
    tokens = np.random.default_rng(1).integers(0, 5, 300)
    model = Markov.fit(tokens[:200], 5, 3)
    whole = model.log_probabilities(tokens)
    parts = [model.log_probabilities(tokens[a : a + 7], history=tokens[:a]) for a in range(0, 300, 7)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert model.log_probability(tokens) == whole.sum()
    assert model.perplexity(tokens) == pytest.approx(math.exp(-whole.mean()), rel=1e-15)


def test_unseen_unit_has_positive_probability() -> None:
    model = Markov.fit([1, 2, 1, 2, 1], 10, 2)
    assert np.isfinite(model.log_probabilities([0, 9, 1, 2, 0])).all()


def test_longer_context_predicts_better() -> None:
    # Each unit is the sum of the last two, modulo 3: order 2 knows it, order 1 knows nothing.
    tokens = [0, 1]
    while len(tokens) < 400:
        tokens.append((tokens[-1] + tokens[-2]) % 3 if len(tokens) % 40 else len(tokens) % 3)
    perplexities = [Markov.fit(tokens[:300], 3, order).perplexity(tokens[300:]) for order in (0, 1, 2)]
    assert perplexities[2] < 1.3 < 2.0 < perplexities[1]
    best = Markov.choose_order(tokens[:300], tokens[300:], 3)
    assert best.order >= 2
    assert Markov.choose_order(tokens[:300], tokens[300:], 3, orders=(0, 1)).order < 2


def test_chosen_order_is_best_and_equals_its_fit() -> None:
    generator = np.random.default_rng(2)
    tokens = [0]
    for _ in range(2000):
        tokens.append((tokens[-1] + 1) % 6 if generator.random() < 0.8 else int(generator.integers(6)))
    train, valid = tokens[:1500], tokens[1500:]
    best = Markov.choose_order(train, valid, 6)
    assert best.order == min(range(9), key=lambda order: Markov.fit(train, 6, order).perplexity(valid))
    fitted = Markov.fit(train, 6, best.order).state_dict()
    assert all(np.array_equal(array, fitted[name]) for name, array in best.state_dict().items())


def test_order_search_passes_one_worse_order() -> None:
    generator = np.random.default_rng(4)
    tokens = [0, 1]
    for _ in range(600):  # only the unit before the last one tells anything
        tokens.append(tokens[-2] if generator.random() < 0.9 else int(generator.integers(5)))
    train, valid = tokens[:400], tokens[400:]
    perplexities = [Markov.fit(train, 5, order).perplexity(valid) for order in (0, 1, 2)]
    assert perplexities[2] < perplexities[0] < perplexities[1]
    assert Markov.choose_order(train, valid, 5).order >= 2


def test_time_limits_the_orders(slow_clock: Callable[[float], None]) -> None:
    """A second passes with each order. An order is counted if as much time is left as the order before it took."""
    tokens = np.arange(400) % 7
    slow_clock(1.0)
    model = Markov.fit(tokens, 7, 8, Deadline(5.0))
    assert model.order == 3 and model.limited_to == "4 of 9 orders"
    slow_clock(1.0)
    model = Markov.choose_order(tokens, tokens, 7, deadline=Deadline(0.5))
    assert model.order == 0 and model.limited_to == "1 of 9 orders"
    slow_clock(1.0)
    model = Markov.fit(tokens, 7, 3, Deadline(9.0))
    assert model.order == 3 and model.limited_to == ""


def test_time_limits_a_long_stream_to_its_end(
    slow_clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orders of 50 units take a second, so 450 fit into half of 18, after a second each for the clock and them."""
    monkeypatch.setattr(markov, "MEASURED", 50)
    tokens = np.concatenate([np.zeros(500, np.int64), np.arange(500) % 6 + 1])
    slow_clock(1.0)
    model = Markov.fit(tokens, 7, 0, Deadline(20.0))
    assert model.limited_to == "450 of 1,000 units"
    np.testing.assert_allclose(np.exp(model.log_probabilities([1])), 75 / 450, rtol=0.02)
    assert model.log_probabilities([0]) < -5, "the zeros are in the beginning that was left out"
    slow_clock(1.0)
    assert Markov.fit(tokens, 7, 0, Deadline(60.0)).limited_to == ""


def test_stream_shorter_than_order() -> None:
    model = Markov.fit([3], 4, 8)
    assert model.order == 8
    assert abs(np.exp(model.step([3, 3])).sum() - 1) < 1e-12
    assert int(np.argmax(model.step([]))) == 3


def test_restored_state_is_bit_equal() -> None:
    tokens = np.random.default_rng(3).integers(0, 7, 500)
    model, again = Markov.fit(tokens, 7, 3), Markov()
    again.load_state_dict(load(save(model.state_dict())))
    assert (again.order, again.vocabulary_size, again.parameters_count) == (3, 7, model.parameters_count)
    assert np.array_equal(again.log_probabilities(tokens), model.log_probabilities(tokens))
    assert np.array_equal(again.step(tokens[:9]), model.step(tokens[:9]))


def test_parameters_count_is_distinct_grams() -> None:
    assert Markov.fit([0, 1, 0, 1, 1], 2, 1).parameters_count == 2 + 3  # 0, 1; 01, 10, 11


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("vocabulary_size", None, "vocabulary_size: missing"),
        ("vocabulary_size", np.array([0]), "above 0"),
        ("vocabulary_size", np.array([2]), r"keys\.1"),
        ("keys.1", None, "wanted vocabulary_size, keys.1"),
        ("keys.2", np.array([0.5, 1.0]), "float64"),
        ("keys.1", np.array([2, 1, 0]), "ascending"),
        ("keys.1", np.array([-1, 1, 2]), "ascending"),
        ("counts.1", np.array([1, 1]), "3 and 2 entries"),
        ("counts.1", np.array([1, 0, 1]), "at least 1"),
        ("counts.2", np.ones((2, 2), np.int64), "shape"),
        ("other", np.array([1]), "other"),
    ],
)
def test_damaged_state_is_refused_and_changes_nothing(name: str, damage: np.ndarray | None, message: str) -> None:
    tokens = [0, 1, 2, 0, 2, 1]
    model = Markov.fit(tokens, 3, 1)
    probabilities = model.log_probabilities(tokens)
    state = model.state_dict()
    if damage is None:
        del state[name]
    else:
        state[name] = damage
    with pytest.raises(ValueError, match=message):
        model.load_state_dict(state)
    assert np.array_equal(model.log_probabilities(tokens), probabilities)


def test_sampling_follows_model_and_seed() -> None:
    model = Markov.fit([0, 1, 2] * 30, 3, 2)
    texts = [list(sample(model.advance, (), 0, 60, generator=np.random.default_rng(5))) for _ in range(2)]
    assert texts[0] == texts[1]
    assert sum((texts[0][i] - texts[0][i - 1]) % 3 == 1 for i in range(1, 60)) > 50
    ahead, state = model.advance(1, (2, 0))
    assert state == (0, 1)
    assert np.array_equal(ahead, model.step([2, 0, 1]))


@pytest.mark.parametrize(
    ("tokens", "size", "order", "error", "message"),
    [
        ([0, 1], 2, 9, UsageError, "order: got 9, wanted 0 to 8"),
        ([0, 1], 2, -1, UsageError, "order: got -1"),
        ([0, 1], 0, 1, UsageError, "vocabulary_size: got 0"),
        ([], 2, 1, DataError, "tokens: got none"),
        ([0, 5], 2, 1, DataError, "tokens: got 5 at position 1, wanted 0 to 1"),
        ([0.5], 2, 1, DataError, "float64"),
        ([[0, 1]], 2, 1, DataError, r"shape \(1, 2\)"),
    ],
)
def test_invalid_tokens_are_refused(
    tokens: object, size: int, order: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Markov.fit(tokens, size, order)


def test_empty_model_and_empty_orders_are_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        Markov().log_probabilities([0])
    with pytest.raises(UsageError, match="orders"):
        Markov.choose_order([0], [0], 1, orders=())
    with pytest.raises(DataError, match="got none"):
        Markov.choose_order([0], [], 1)
