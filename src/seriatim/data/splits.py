"""Splits examples into training, validation and test parts."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

SHARES = (0.8, 0.1, 0.1)
"""Shares of training, validation and test."""


def split_in_order(n: int) -> tuple[slice, slice, slice]:
    """Return slices for the first 80 %, the next 10 % and the last 10 % of ``n`` ordered items."""
    first, second = n * 8 // 10, n * 9 // 10
    return slice(0, first), slice(first, second), slice(second, n)


def stratified(
    labels: Sequence[str], groups: Sequence[str] | None, seed: int, share: tuple[float, float, float] = SHARES
) -> tuple[Indices, Indices, Indices]:
    """Return sorted indices of the three parts; each label is distributed over them by ``share``.

    A label with three members or more occurs in each part. With ``groups``, each group stays in one part; a label with
    three groups or more then occurs in each part as far as the groups allow.
    """
    first, second, third = _deal(labels, groups, seed, share)
    return first, second, third


def hold_out(
    labels: Sequence[str], groups: Sequence[str] | None, seed: int, share: float = 0.1
) -> tuple[Indices, Indices]:
    """Return sorted indices for training and for a ``share`` for validation, stratified as in ``stratified``."""
    first, second = _deal(labels, groups, seed, (1 - share, share))
    return first, second


def split_indices(
    separate: Container[str], labels: Sequence[str], groups: Sequence[str] | None, seed: int
) -> dict[str, Indices]:
    """Split the training file, stratified by label, into ``train`` and the parts without a file of their own.

    ``separate`` holds the parts (``valid``, ``test``) that have one.
    """
    missing = [part for part in ("valid", "test") if part not in separate]
    if not missing:
        return {"train": np.arange(len(labels))}
    parts = (stratified if len(missing) == 2 else hold_out)(labels, groups, seed)
    return dict(zip(("train", *missing), parts, strict=True))


def _deal(labels: Sequence[str], groups: Sequence[str] | None, seed: int, share: Sequence[float]) -> list[Indices]:
    random = np.random.default_rng(seed)
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    parts = _deal_members(codes, random, share) if groups is None else _deal_groups(codes, groups, random, share)
    return [np.flatnonzero(parts == part) for part in range(len(share))]


def _deal_members(codes: Indices, random: np.random.Generator, share: Sequence[float]) -> Indices:
    """Return the part of each member: the members of a label are shuffled and cut."""
    parts = np.zeros(len(codes), dtype=np.int64)
    for label in range(int(codes.max(initial=-1)) + 1):
        members = random.permutation(np.flatnonzero(codes == label))
        if len(members) < len(share):
            continue  # too few for all parts: they train
        start = 0
        for part in range(1, len(share)):
            count = max(1, round(share[part] * len(members)))
            parts[members[start : start + count]] = part
            start += count
    return parts


def _deal_groups(codes: Indices, groups: Sequence[str], random: np.random.Generator, share: Sequence[float]) -> Indices:
    """Return the part of each member: each group, the largest first, goes to the part that lacks its labels most."""
    names, owner = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(names), int(codes.max(initial=-1)) + 1))
    np.add.at(counts, (owner, codes), 1)
    targets = np.outer(share, counts.sum(axis=0))
    assigned = np.zeros_like(targets)
    home = np.zeros(len(names), dtype=np.int64)
    shuffled = random.permutation(len(names))
    for group in shuffled[np.argsort(-counts[shuffled].sum(axis=1), kind="stable")]:
        home[group] = int(((1 - assigned / targets) @ counts[group]).argmax())
        assigned[home[group]] += counts[group]
    _complete(home, counts, len(share))
    return home[owner]


def _complete(home: Indices, counts: NDArray[np.float64], parts: int) -> None:
    """If a part lacks a label, move the smallest group with that label there, from a part that has several."""
    for label in np.argsort(counts.sum(axis=0), kind="stable"):
        has_label = counts[:, label] > 0
        for part in range(parts):
            donors = [donor for donor in range(parts) if (has_label & (home == donor)).sum() > 1]
            if has_label.sum() < parts or (has_label & (home == part)).any() or not donors:
                continue
            movable = np.flatnonzero(has_label & (home == donors[0]))
            home[movable[counts[movable].sum(axis=1).argmin()]] = part
