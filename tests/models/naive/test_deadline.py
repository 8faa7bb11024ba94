"""Deadlines, and the fits of simple models that end by them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from seriatim.models.naive import deadline
from seriatim.models.naive.deadline import Deadline, joined, shortened
from seriatim.models.naive.nearest_sequence import NearestSequence
from seriatim.models.naive.ridge import FEWEST_ROWS, PENALTIES, RidgeRegression, _Ridge
from seriatim.models.naive.rocket import FEWEST_KERNELS, KERNELS, RocketClassifier
from seriatim.models.naive.summary import AT_ONCE, SummaryRegression
from seriatim.models.naive.tfidf import TfidfClassifier

SetSeconds = Callable[[float], None]


def sequences(count: int, seed: int = 0, steps: int = 20) -> tuple[list[np.ndarray], np.ndarray]:
    """Noise around 0 or 1, and which it is."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return [label + 0.3 * draw.normal(size=(steps, 1)) for label in labels], labels


def test_deadline_counts_from_its_beginning(slow_clock: SetSeconds) -> None:
    slow_clock(1.0)
    ten_seconds = Deadline(10.0)
    assert [ten_seconds.left for _ in range(4)] == [9.0, 8.0, 7.0, 6.0]
    assert ten_seconds.has_passed(0.5) and not ten_seconds.has_passed()
    assert [ten_seconds.has_passed() for _ in range(4)] == [False, False, False, True]


def test_no_limit_never_passes(slow_clock: SetSeconds) -> None:
    slow_clock(1e9)
    assert not Deadline(float("inf")).has_passed(0.01)


def test_parts_in_words() -> None:
    assert joined(shortened(1200, 6000, "texts"), shortened(5, 5, "kernels")) == "1,200 of 6,000 texts"


def test_texts_are_as_many_as_the_time_allows(slow_clock: SetSeconds) -> None:
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(["sun", "sea", "ice"], 40)) for _ in range(2000)]
    labels = draw.integers(0, 2, len(texts))
    slow_clock(1.0)  # each fit takes a second, whatever its size
    assert TfidfClassifier(2).fit(texts, labels, seconds=60.0) == ""
    slow_clock(1.0)
    limited_to = TfidfClassifier(2).fit(texts, labels, seconds=4.0)
    assert 300 < int(limited_to.split()[0]) < 400 and limited_to.endswith(" of 2,000 texts"), "the first part alone"
    slow_clock(1.0)
    small = int(TfidfClassifier(2).fit(texts, labels, seconds=10.0).split()[0].replace(",", ""))
    assert 600 < small < 1800, "a second part, as large as half the rest of the time allows"


def test_nearest_scores_validation_sequences_until_the_time_is_over(slow_clock: SetSeconds) -> None:
    data, valid = sequences(4000), sequences(60, 1)
    slow_clock(1.0)
    model = NearestSequence(2)
    assert model.fit(*data, *valid, seconds=3.0) == "12 of 60 validation sequences"
    assert model.error == pytest.approx(1 / 14), "only the scored sequences count"
    assert NearestSequence(2).fit(*data, *valid) == ""


def test_nearest_says_how_many_sequences_it_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seriatim.models.naive.nearest_sequence.WORK", 5e3)
    limited_to = NearestSequence(2).fit(*sequences(40), *sequences(10, 1))
    assert limited_to.endswith(" of 40 sequences")


def test_rocket_has_fewer_kernels_and_then_fewer_sequences(slow_clock: SetSeconds) -> None:
    data, valid = sequences(200), sequences(50, 1)
    assert RocketClassifier(2).fit(*data, *valid) == ""
    slow_clock(1.0)  # the measurement of the speed, with one sequence, takes a second: all features take 250
    model = RocketClassifier(2)
    limited_to = model.fit(*data, *valid, seconds=102.0)
    kernels = round(KERNELS * 0.5 * 99 / 250)
    assert len(model.state_dict()["kernel_constants"]) == kernels
    assert limited_to.startswith(f"{kernels} of 2,500 kernels")
    slow_clock(1.0)
    model = RocketClassifier(2)
    limited_to = model.fit(*data, *valid, seconds=13.0)
    assert len(model.state_dict()["kernel_constants"]) == FEWEST_KERNELS
    assert limited_to.startswith("100 of 200 sequences, 100 of 2,500 kernels")
    inputs, labels = sequences(40, 2)
    assert (model.probabilities(inputs).argmax(1) == labels).mean() > 0.9


def test_summaries_end_when_their_share_of_the_time_has_passed(slow_clock: SetSeconds) -> None:
    inputs, labels = sequences(1000)
    assert SummaryRegression().fit(inputs, labels, inputs[:300], labels[:300]) == ""
    slow_clock(1.0)
    model = SummaryRegression()
    limited_to = model.fit(inputs, labels.astype(float), inputs[:300], labels[:300].astype(float), seconds=10.0)
    assert limited_to.startswith(f"{4 * AT_ONCE} of 1,000 sequences, {2 * AT_ONCE} of 300 validation sequences")
    assert np.abs(model.predictions(inputs)[:, 0] - labels).mean() < 0.1, "each target stays with its sequence"


def test_regression_has_fewer_rows_and_penalties(slow_clock: SetSeconds) -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(4000, 3))
    targets = features @ np.array([1.0, 2.0, 3.0])

    def fit(seconds: float) -> tuple[RidgeRegression, str]:
        model = RidgeRegression()
        return model, model.fit(features, targets, features[:50], targets[:50], Deadline(seconds))

    assert fit(60.0)[1] == ""
    slow_clock(1.0)  # 256 rows take a second
    model, limited_to = fit(31.0)
    assert limited_to == f"{round(28 / len(PENALTIES) * FEWEST_ROWS):,} of 4,000 rows of the regression"
    np.testing.assert_allclose(model.predictions(features[:5])[:, 0], targets[:5], atol=0.01)
    slow_clock(1.0)
    model, limited_to = fit(9.0)
    assert limited_to.startswith("256 of 4,000 rows of the regression, ") and limited_to.endswith(" of 7 penalties")


def test_import_of_the_library_does_not_count_as_the_time_of_a_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    now, solve = [0.0], _Ridge.solve
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow_at_first(self: _Ridge, standardized: np.ndarray, targets: np.ndarray, penalty: float) -> None:
        solve(self, standardized, targets, penalty)
        now[0] += 1.0 if now[0] else 50.0

    monkeypatch.setattr(_Ridge, "solve", slow_at_first)
    features = np.random.default_rng(0).normal(size=(100, 3))
    assert RidgeRegression().fit(features, features[:, 0], features, features[:, 0], Deadline(60.0)) == ""
