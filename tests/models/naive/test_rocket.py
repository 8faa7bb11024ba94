"""ROCKET, and ridge regression on summaries of channels."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.models.naive.rocket import Kernels, RocketClassifier, RocketRegression
from seriatim.models.naive.summary import SummaryRegression, summaries


def waves(rows: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Noisy sines of two frequencies in the first of two channels, of different lengths."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, rows)
    inputs = []
    for label in labels:
        steps = np.arange(draw.integers(20, 40))
        wave = np.sin((0.5 + 0.6 * label) * steps + draw.uniform(0, 6))
        inputs.append(np.stack([wave, np.zeros_like(wave)], 1) + draw.normal(scale=0.3, size=(len(steps), 2)))
    return inputs, labels


def test_features_equal_the_definition() -> None:
    kernels = Kernels()
    kernels.draw(2, 25, 40, 0)
    inputs, _ = waves(3, 1)
    features = kernels.features(inputs).reshape(3, 2, 40)
    for index in range(40):
        length, dilation, is_padded = kernels.shapes[index]
        reach = (length - 1) * dilation
        for row, values in enumerate(inputs):
            ends = (reach // 2, reach - reach // 2) if is_padded else (0, max(0, reach + 1 - len(values)))
            padded = np.pad(values, (ends, (0, 0)))
            starts = len(values) if is_padded else max(1, len(values) - reach)
            outputs = np.array(
                [
                    sum(padded[start + j * dilation] @ kernels.weights[index, :, j] for j in range(length))
                    for start in range(starts)
                ]
            ) + kernels.constants[index]  # fmt: skip
            assert features[row, 0, index] == pytest.approx(outputs.max(), rel=1e-4, abs=1e-5)
            assert features[row, 1, index] == pytest.approx((outputs > 0).mean(), abs=1e-6)


def test_features_do_not_depend_on_batch() -> None:
    kernels = Kernels()
    kernels.draw(2, 30, 60, 3)
    inputs, _ = waves(9, 4)
    together = kernels.features(inputs)
    alone = np.concatenate([kernels.features([values]) for values in inputs])
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)


def test_classifier_tells_frequencies_from_each_other() -> None:
    model, copy = RocketClassifier(2), RocketClassifier(2)
    model.fit(*waves(60, 0), *waves(30, 1))
    inputs, labels = waves(60, 2)
    chances = model.probabilities(inputs)
    np.testing.assert_allclose(chances.sum(1), 1.0)
    assert (chances.argmax(1) == labels).mean() > 0.9
    copy.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(copy.probabilities(inputs), chances)


def test_one_step_is_enough() -> None:
    model = RocketClassifier(2)
    inputs, labels = [np.array([[float(value)]]) for value in range(20)], np.arange(20) >= 10
    model.fit(inputs, labels.astype(np.int64), inputs, labels.astype(np.int64))
    assert np.isfinite(model.probabilities(inputs)).all()


def levels(rows: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    draw = np.random.default_rng(seed)
    targets = draw.normal(size=rows)
    return [target + draw.normal(scale=0.5, size=(draw.integers(12, 20), 1)) for target in targets], targets


@pytest.mark.parametrize("make", [SummaryRegression, RocketRegression])
def test_regression_finds_the_level(make: type[SummaryRegression] | type[RocketRegression]) -> None:
    model, copy = make(), make()
    model.fit(*levels(200, 0), *levels(100, 1))
    inputs, targets = levels(100, 2)
    predicted = model.predictions(inputs)
    assert np.sqrt(np.square(predicted[:, 0] - targets).mean()) < 0.3
    assert (np.diff(predicted[:, 1:], axis=1) > 0).all()
    assert 0.6 < ((predicted[:, 1] < targets) & (targets < predicted[:, 3])).mean() < 0.97
    copy.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(copy.predictions(inputs), predicted)


def test_summary_of_a_line() -> None:
    (row,) = summaries([np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])])
    deviation = np.sqrt(2)
    np.testing.assert_allclose(row, [3, deviation, 1, 5, 2, 3, 4, 1, 5, 1, np.log(5)])


@pytest.mark.parametrize("name", ["kernels", "kernel_shapes", "weights"])
def test_damaged_state_is_refused(name: str) -> None:
    model = RocketClassifier(2)
    model.fit(*waves(10, 0), *waves(10, 1))
    state = model.state_dict()
    with pytest.raises(ValueError):
        RocketClassifier(2).load_state_dict({**state, name: state[name][:-1]})
