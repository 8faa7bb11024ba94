"""Linear models of texts."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.models.naive.tfidf import TfidfClassifier, TfidfRegression

WARM, COLD = ["the sun is hot", "a fire, burning!", "hot sand"], ["the sea is cold", "ice and snow", "cold wind"]
TEXTS = (WARM + COLD) * 5
LABELS = np.array([0, 0, 0, 1, 1, 1] * 5)


def test_classes_of_new_texts() -> None:
    model = TfidfClassifier(2)
    model.fit(TEXTS, LABELS)
    chances = model.probabilities(["hot fire", "snowy ice", "colder"])
    np.testing.assert_allclose(chances.sum(1), 1.0)
    assert chances.argmax(1).tolist() == [0, 1, 1], "snowy and colder are known by their characters alone"


def test_three_classes_and_one_that_is_absent() -> None:
    model = TfidfClassifier(4)
    model.fit([*TEXTS, "green grass", "green leaf"], np.array([*LABELS, 3, 3]))
    chances = model.probabilities(["green tree", "hot"])
    assert chances.argmax(1).tolist() == [3, 0] and (chances[:, 2] == 0).all()
    single = TfidfClassifier(2)
    single.fit(["a", "b"], np.array([1, 1]))
    assert single.probabilities(["c"]).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("classes", [2, 3])
def test_stored_model_predicts_alike(classes: int) -> None:
    model, copy = TfidfClassifier(classes), TfidfClassifier(classes)
    model.fit(TEXTS, LABELS % classes)
    copy.load_state_dict({name: array.copy() for name, array in model.state_dict().items()})
    texts = ["hot\nwind", "", "\ud800 odd", "the sea"]
    np.testing.assert_array_equal(copy.probabilities(texts), model.probabilities(texts))


@pytest.mark.parametrize("name", ["words", "weights", "characters_idf"])
def test_damaged_state_is_refused(name: str) -> None:
    model = TfidfClassifier(2)
    model.fit(TEXTS, LABELS)
    state = model.state_dict()
    state[name] = state[name][:-1]
    with pytest.raises(ValueError):
        TfidfClassifier(2).load_state_dict(state)


def test_regression_with_quantiles() -> None:
    draw = np.random.default_rng(0)
    counts = draw.integers(0, 4, (300, 2))
    texts = [" ".join(["good"] * good + ["bad"] * bad + ["film"]) for good, bad in counts]
    targets = counts[:, 0] - counts[:, 1] + draw.normal(scale=0.1, size=300)
    model, copy = TfidfRegression(), TfidfRegression()
    model.fit(texts[:200], targets[:200])
    predicted = model.predictions(texts[200:])
    assert np.sqrt(np.square(predicted[:, 0] - targets[200:]).mean()) < 0.5 * targets.std()
    assert (np.diff(predicted[:, 1:], axis=1) > 0).all()
    inside = (predicted[:, 1] <= targets[200:]) & (targets[200:] <= predicted[:, 3])
    assert 0.65 < inside.mean() < 0.95, "80 % of unseen targets are between the outer quantiles"
    copy.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(copy.predictions(texts[:5]), model.predictions(texts[:5]))
