"""Scores by groups: means, their errors, and the bounds of groups."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.insight.breakdown import MOST_GROUPS, Breakdown, Group, by_group, by_size
from seriatim.insight.calibration import class_calibrations
from seriatim.insight.report.breakdowns import breakdowns


def test_groups_have_their_means_and_standard_errors() -> None:
    generator = np.random.default_rng(0)
    values, groups = generator.standard_normal(500), generator.integers(0, 3, 500)
    for group, number in zip(by_group("x", values, groups, "abc").groups, range(3), strict=True):
        rows = values[groups == number]
        assert group.mean == pytest.approx(rows.mean())
        assert group.error == pytest.approx(rows.std(ddof=1) / len(rows) ** 0.5)
        assert (group.name, group.count) == ("abc"[number], len(rows))


def test_the_largest_groups_are_kept_and_empty_ones_are_not() -> None:
    groups = np.repeat(np.arange(40), np.arange(40))
    names = [str(number) for number in range(40)]
    shown = by_group("x", np.zeros(len(groups)), groups, names).groups
    assert [group.name for group in shown] == names[40 - MOST_GROUPS :]
    assert [group.name for group in by_group("x", [1.0], [2], "abc").groups] == ["c"]


def test_sizes_are_grouped_without_loss() -> None:
    sizes = np.random.default_rng(0).integers(1, 60, 300)
    breakdown = by_size("x", sizes, sizes)
    assert sum(group.count for group in breakdown.groups) == 300
    for group in breakdown.groups:
        low, high = (float(part) for part in group.name.split(" to "))
        inside = sizes[(sizes >= low) & (sizes <= high)]
        assert group.count == len(inside) and group.mean == pytest.approx(inside.mean())
    assert by_size("x", [1.0, 2.0], [5, 5]) is None


def test_large_sizes_are_written_as_whole_numbers():
    breakdown = by_size("x", [1.0, 2.0], [812, 14_060])
    assert [group.name for group in breakdown.groups] == ["812", "14,060"]


def test_class_calibration_sees_a_class_that_is_stated_too_often() -> None:
    labels = np.random.default_rng(0).choice(2, 4000, p=[0.2, 0.8])
    stated = np.tile([0.5, 0.5], (4000, 1))
    assert class_calibrations(stated, labels) == pytest.approx([0.3, 0.3], abs=0.03)
    assert class_calibrations(np.tile([0.2, 0.8], (4000, 1)), labels) == pytest.approx([0.0, 0.0], abs=0.03)


def test_report_has_a_row_for_each_group() -> None:
    item = Breakdown("accuracy by <class>", (Group("<b>", 0.5, 0.1, 1234), Group("c", 1.0, 0.0, 2)))
    page = breakdowns([item])
    assert "&lt;b&gt;" in page and "1,234" in page and "0.5 ± 0.2" in page and "width:50%" in page
    assert breakdowns([]) == ""
