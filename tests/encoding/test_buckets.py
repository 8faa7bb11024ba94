"""Tests of batches by length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seriatim.encoding.buckets import buckets, pad, token_buckets

LENGTHS = st.lists(st.integers(1, 50), max_size=60)


@given(LENGTHS, st.integers(1, 8), st.sampled_from([None, 0, 1]), st.integers(1, 4))
def test_batches_contain_each_index_once_with_decreasing_lengths(
    lengths: list[int], batch_size: int, seed: int | None, pool: int
) -> None:
    batches = buckets(lengths, batch_size, seed, pool)
    assert sorted(index for batch in batches for index in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        assert (np.diff(np.asarray(lengths)[batch]) <= 0).all()
    assert [batch.tolist() for batch in buckets(lengths, batch_size, seed, pool)] == [
        batch.tolist() for batch in batches
    ]


def test_only_seeded_batches_are_shuffled() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 200)
    first, second, still = (buckets(lengths, 10, seed, 5) for seed in (0, 1, None))
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    assert (np.diff(lengths[np.concatenate(still)]) <= 0).all()
    assert (np.diff(lengths[np.concatenate(first)]) > 0).any()


def test_padding_is_small() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    steps = sum(int(lengths[batch].max()) * len(batch) for batch in buckets(lengths, 10, 0))
    assert steps < 1.1 * lengths.sum()  # unsorted batches of 10 need about 1.8 times as many


@pytest.mark.parametrize("shape", [(), (2,)])
def test_pad(shape: tuple[int, ...]) -> None:
    sequences = [np.ones((length, *shape), dtype=np.float32) for length in (3, 1)]
    padded, lengths = pad(sequences, -1)
    assert padded.shape == (3, 2, *shape) and padded.dtype == np.float32 and lengths.tolist() == [3, 1]
    assert (padded[:, 0] == 1).all() and (padded[:1, 1] == 1).all() and (padded[1:, 1] == -1).all()


def test_token_batches_contain_each_index_once_within_limit() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 500)
    for seed in (None, 3):
        batches = token_buckets(lengths, 16, 200, seed)
        assert sorted(np.concatenate(batches).tolist()) == list(range(500))
        for batch in batches:
            assert len(batch) <= 16
            assert lengths[batch].max() * len(batch) <= 200
        assert max(map(len, batches)) == 16, "short sequences fill a batch"


def test_sequence_longer_than_limit_is_a_batch() -> None:
    batches = token_buckets([5, 300, 4], 8, 100, None)
    assert [batch.tolist() for batch in batches] == [[1], [0, 2]]
