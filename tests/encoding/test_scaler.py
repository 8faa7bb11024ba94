"""Tests of the standardizer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seriatim.encoding import scaler
from seriatim.encoding.scaler import Standardizer


def test_standardized_values_have_mean_0_and_deviation_1() -> None:
    values = np.random.default_rng(0).normal([5.0, -300.0], [2.0, 0.01], (1000, 2))
    fitted = Standardizer.fit(values)
    scaled = fitted.transform(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(fitted.inverse(scaled), values, rtol=1e-12)


def test_block_size_does_not_change_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    whole = Standardizer.fit(values)
    monkeypatch.setattr(scaler, "ROWS_AT_A_TIME", 7)
    parts = Standardizer.fit(values)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-12)


def test_missing_values_are_ignored() -> None:
    fitted = Standardizer.fit(np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]]))
    assert fitted.mean.tolist() == [2.0, 0.0] and fitted.scale.tolist() == [1.0, 1.0]


def test_constant_channel_has_scale_1() -> None:
    values = np.full((10, 1), 0.1) * 3
    fitted = Standardizer.fit(values)
    assert fitted.scale.tolist() == [1.0]
    np.testing.assert_allclose(fitted.transform(values), 0, atol=1e-12)


def test_dtype_is_kept() -> None:
    fitted = Standardizer([1.0], [2.0])
    scaled = fitted.transform(np.zeros((4, 3, 1), dtype=np.float32))
    assert scaled.dtype == np.float32 and fitted.inverse(scaled).dtype == np.float32


def test_json_is_exact() -> None:
    fitted = Standardizer([1 / 3, 1e-300], [2 / 3, 1e300])
    again = Standardizer.from_json(json.loads(json.dumps(fitted.to_json())))
    assert (again.mean == fitted.mean).all() and (again.scale == fitted.scale).all()


@pytest.mark.parametrize(
    "stored",
    [
        {},
        [],
        {"mean": [1.0]},
        {"mean": [1.0], "scale": [0.0]},
        {"mean": [1.0], "scale": [-1.0]},
        {"mean": [1.0], "scale": [1.0, 2.0]},
        {"mean": 1.0, "scale": 1.0},
        {"mean": ["x"], "scale": [1.0]},
        {"mean": [float("nan")], "scale": [1.0]},
        {"mean": [{}], "scale": [1.0]},
    ],
)
def test_damaged_json_is_refused(stored: object) -> None:
    with pytest.raises(ValueError):
        Standardizer.from_json(stored)  # type: ignore[arg-type]
