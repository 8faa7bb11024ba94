"""Running statistics: the moments of recent numbers, with limited outliers."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.online.scaling import FIRST_BLOCK, LIMIT, OUTLIER, RecentMoments, RunningScaler


def moments_of(values):
    moments = RecentMoments()
    for value in values:
        moments.add(float(value))
    return moments


def test_first_blocks_have_the_mean_and_deviation_of_all_numbers():
    values = np.random.default_rng(0).normal(5.0, 3.0, FIRST_BLOCK + 10)
    moments = moments_of(values)
    assert moments.unscale(0.0) == pytest.approx(values.mean())
    assert moments.unscale(1.0) - moments.unscale(0.0) == pytest.approx(values.std())


@pytest.mark.parametrize(("count", "covered"), [(8, 8), (23, 23), (24, 16), (30, 22), (56, 32), (1000, 752)])
def test_statistics_cover_the_last_two_blocks(count, covered):
    values = np.random.default_rng(1).normal(0.0, 1.0, count)
    moments = moments_of(values)
    assert moments.last_block.count + moments.block.count == covered >= count / 2
    assert moments.unscale(0.0) == pytest.approx(values[-covered:].mean(), abs=1e-9)


def test_standard_is_zero_until_a_deviation_is_known():
    assert moments_of([]).standard(3.0) == moments_of([1.0]).standard(3.0) == 0.0
    assert moments_of([2.0, 2.0]).standard(3.0) == 1.0


def test_standard_is_limited():
    moments = moments_of([0.0, 1.0, 0.0, 1.0])
    assert moments.standard(1e20) == LIMIT and moments.standard(-1e20) == -LIMIT


def test_late_outlier_is_limited():
    """It counts as 30 deviations, so the variance of 752 numbers grows by less than 30² / 752."""
    moments = moments_of([*np.random.default_rng(2).normal(0.0, 1.0, 1000), 1e20])
    assert 1.2 < moments.unscale(1.0) - moments.unscale(0.0) < (1 + OUTLIER**2 / 752) ** 0.5 * 1.1


def test_outlier_is_forgotten_with_its_block():
    values = np.random.default_rng(2).normal(0.0, 1.0, 300)
    values[100] = 1e20
    assert moments_of(values[:240]).unscale(1.0) - moments_of(values[:240]).unscale(0.0) > 1.5
    assert moments_of(values).unscale(1.0) - moments_of(values).unscale(0.0) < 1.2


def test_outlier_at_the_start_is_forgotten():
    values = np.random.default_rng(3).normal(0.0, 1.0, 40)
    moments = moments_of([1e20, *values])
    assert abs(moments.unscale(0.0)) < 1.0
    assert 0.5 < moments.unscale(1.0) - moments.unscale(0.0) < 2.0


def test_new_level_is_adopted():
    """Numbers that move to another level and scale for good are soon scaled by it."""
    draw = np.random.default_rng(4)
    moments = moments_of([*draw.normal(0.0, 1.0, 300), *draw.normal(1e6, 1e3, 900)])
    assert moments.unscale(0.0) == pytest.approx(1e6, rel=0.2)
    assert abs(moments.standard(1e6)) < 1.0


def test_statistics_are_restored():
    scaler = RunningScaler()
    for value in range(30):
        scaler.add("a", float(value % 7))
    restored = RunningScaler.of(scaler.statistics())
    for value in (3.0, 100.0):
        assert restored.standard("a", value) == scaler.standard("a", value)
        restored.add("a", value)
        scaler.add("a", value)
    assert restored == scaler


def test_statistics_of_format_1_are_continued():
    values = [1.0, 4.0, 2.0]
    old = RecentMoments.of([3, np.mean(values), 3 * np.var(values)])
    assert old.unscale(1.0) == pytest.approx(moments_of(values).unscale(1.0))
