"""Tests of splits: each index once, correct shares, deterministic for a seed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seriatim.data.splits import hold_out, split_in_order, stratified


@given(st.integers(0, 10_000))
def test_split_in_order(n: int) -> None:
    parts = split_in_order(n)
    assert [index for part in parts for index in range(n)[part]] == list(range(n))
    assert abs((parts[0].stop - parts[0].start) - 0.8 * n) < 1 and abs((parts[2].stop - parts[2].start) - 0.1 * n) <= 1


LABELS = st.lists(st.sampled_from("aaaaab" + "c"), max_size=80)


@settings(max_examples=60, deadline=None)
@given(LABELS, st.integers(0, 3))
def test_split_has_each_index_once_and_each_label_in_each_part(labels: list[str], seed: int) -> None:
    parts = stratified(labels, None, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    for part, again in zip(parts, stratified(labels, None, seed), strict=True):
        assert part.tolist() == sorted(part.tolist()) == again.tolist()
    for label in set(labels):
        members = labels.count(label)
        result = [sum(labels[index] == label for index in part) for part in parts]
        assert (min(result) > 0) == (members >= 3)
        if members >= 3:
            assert abs(result[1] - members / 10) <= 1 and abs(result[2] - members / 10) <= 1


def test_seed_changes_split() -> None:
    labels = ["a"] * 50 + ["b"] * 50
    assert stratified(labels, None, 0)[2].tolist() != stratified(labels, None, 1)[2].tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 15)), min_size=1, max_size=80), st.integers(0, 3))
def test_groups_stay_together(members: list[tuple[str, int]], seed: int) -> None:
    labels, groups = [label for label, _ in members], [str(group) for _, group in members]
    parts = stratified(labels, groups, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    homes = [{groups[index] for index in part} for part in parts]
    assert sum(map(len, homes)) == len(set(groups))
    assert [part.tolist() for part in stratified(labels, groups, seed)] == [part.tolist() for part in parts]


def test_groups_of_one_label_are_split_by_share() -> None:
    labels = ["a", "a", "b", "b", "c", "c"] * 50
    groups = [str(index // 2) for index in range(300)]
    parts = stratified(labels, groups, 0)
    for part, share in zip(parts, (0.8, 0.1, 0.1), strict=True):
        counts = [sum(labels[index] == label for index in part) for label in "abc"]
        assert all(abs(count - share * 100) <= 2 for count in counts)
    rare_parts = stratified(["a"] * 3 + ["b"] * 30, list("123") + [str(4 + index // 2) for index in range(30)], 0)
    assert all("a" in {(["a"] * 3 + ["b"] * 30)[index] for index in part} for part in rare_parts)


def test_hold_out() -> None:
    stay, held_out = hold_out(["a"] * 90 + ["b"] * 10, None, 0)
    assert len(held_out) == 10 and sum(held_out >= 90) == 1 and len(set(stay) | set(held_out)) == 100
    assert len(hold_out(["a"] * 90 + ["b"] * 10, None, 0, 0.5)[1]) == 50
