"""The averaged perceptron as a tagger."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from seriatim.models.naive.perceptron import ROWS, PerceptronTagger


def sentences(rows: int, seed: int) -> list[tuple[list[str], np.ndarray]]:
    """The tag of ``x`` depends on the word before it; other words have tags of their own."""
    draw = np.random.default_rng(seed)
    pairs = [(["the", "x"], [0, 1]), (["to", "x"], [2, 3]), (["a", f"dog{seed}s"], [0, 1])]
    result = []
    for _ in range(rows):
        chosen = [pairs[index] for index in draw.integers(0, 3, 3)]
        words, tags = zip(*chosen, strict=True)
        result.append(([word for part in words for word in part], np.array([tag for part in tags for tag in part])))
    return result


def test_tags_depend_on_context_and_spelling() -> None:
    model = PerceptronTagger(4)
    model.fit(sentences(60, 0), sentences(20, 1))
    for words, tags in sentences(20, 2):
        np.testing.assert_array_equal(model.tag(words), tags)
    assert model.tag(["the", "x", "to", "x"]).tolist() == [0, 1, 2, 3]


def test_probabilities_agree_with_tags() -> None:
    model = PerceptronTagger(4)
    model.fit(sentences(60, 0), sentences(20, 1))
    words = ["to", "x", "the", "unknown"]
    log_chances = model.log_probabilities(words)
    np.testing.assert_allclose(np.exp(log_chances).sum(1), 1.0)
    np.testing.assert_array_equal(log_chances.argmax(1), model.tag(words))


def test_stored_model_tags_alike() -> None:
    model, copy = PerceptronTagger(4), PerceptronTagger(4)
    model.fit(sentences(40, 0), sentences(10, 1))
    state = model.state_dict()
    assert len(state["rows"]) < ROWS / 10, "rows of zeros are not stored"
    copy.load_state_dict(state)
    words = ["the", "x", "a", "word", "to", "x"]
    np.testing.assert_array_equal(copy.log_probabilities(words), model.log_probabilities(words))


def test_same_seed_same_weights_and_unknown_validation_tags() -> None:
    models = [PerceptronTagger(4) for _ in range(2)]
    for model in models:
        model.fit(sentences(20, 0), [(["new"], np.array([7]))], seed=3)
    np.testing.assert_array_equal(models[0].weights, models[1].weights)
    assert models[0].temperature == 1.0


def test_time_limits_the_training_and_the_choice_of_the_temperature(slow_clock: Callable[[float], None]) -> None:
    """A second passes after each sentence. Of 16 seconds 14 are for training, and the rest is for the temperature."""
    slow_clock(1.0)
    model = PerceptronTagger(4)
    limited_to = model.fit(sentences(8, 0), sentences(10, 1), seconds=16.0)
    assert limited_to == "1.8 of 5 epochs, 2 of 10 validation sentences"
    assert model.weights.any() and model.temperature != 1.0
    slow_clock(1.0)
    limited_to = PerceptronTagger(4).fit(sentences(8, 0), sentences(10, 1), seconds=1.0)
    assert limited_to == "0.1 of 5 epochs, 1 of 10 validation sentences"


def test_without_hurry_nothing_is_left_out() -> None:
    models = [PerceptronTagger(4) for _ in range(2)]
    for model, seconds in zip(models, (60.0, float("inf")), strict=True):
        assert model.fit(sentences(20, 0), sentences(10, 1), seconds=seconds) == ""
    np.testing.assert_array_equal(models[0].weights, models[1].weights)
    assert models[0].temperature == models[1].temperature


@pytest.mark.parametrize(
    ("name", "value"), [("rows", np.array([ROWS])), ("rows", np.array([-1])), ("weights", np.zeros((1, 3)))]
)
def test_damaged_state_is_refused(name: str, value: np.ndarray) -> None:
    state = {"rows": np.array([5]), "weights": np.zeros((1, 4), np.float32), "temperature": np.array([1.0])}
    with pytest.raises(ValueError):
        PerceptronTagger(4).load_state_dict({**state, name: value})
