"""Buffers go back to the pool, and the pool does not grow."""

from __future__ import annotations

import torch
import torch._inductor.config

from seriatim import nn
from seriatim.ops.buffer_pool import POOL, SMALL, BufferPool


class TestBufferPool:
    def test_buffer_returns_with_its_last_tensor(self):
        pool = BufferPool()
        first = pool.empty((SMALL,), torch.float32)
        view, place = first[10:20], first.data_ptr()
        del first
        assert pool.free_bytes == 0
        second = pool.empty((SMALL,), torch.float32)
        assert second.data_ptr() != place
        del view
        assert pool.free_bytes == 4 * SMALL
        assert pool.empty((SMALL // 2,), torch.float64).data_ptr() == place

    def test_free_memory_is_bounded_by_peak_use(self):
        pool = BufferPool()
        for size in range(1, 9):
            pool.empty((size * SMALL,), torch.float32)
        assert pool.free_bytes <= 4 * 8 * SMALL
        pool.clear()
        assert pool.free_bytes == 0

    def test_small_buffers_bypass_the_pool(self):
        pool = BufferPool()
        assert pool.empty((3, 4), torch.float64).shape == (3, 4)
        assert pool.free_bytes == 0

    def test_layers_use_the_pool(self):
        layer, x = nn.LSTM(4, 64), torch.randn(64, 32, 4)
        POOL.clear()
        result = layer(x)[0].sum()
        assert POOL.free_bytes == 0
        result.backward()
        assert POOL.free_bytes >= 4 * 64 * 32 * 64 * 4
        POOL.clear()
