"""A pool of large buffers, because a forward call saves as much for its backward each time, and new memory is slow.

The first access to memory that is fresh from the operating system costs as much as the kernels that write it. So a
buffer goes back to its pool when the last tensor over it is deleted, wherever that tensor was stored. Two graphs that
are alive at the same time never share a buffer. The pool keeps no more memory than was recently in use at once.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SMALL = 1 << 20
"""The size in bytes below which the C library reuses memory by itself."""
RECENT = 64
"""The number of allocations after which the highest use is measured anew. The last two such measures count."""

NUMPY: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}


class BufferPool:
    """Blocks of memory by size, for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._returned: deque[NDArray[np.uint8]] = deque()
        """Blocks on their way back. It needs no lock: a tensor may be deleted while this thread has the lock."""
        self._free: list[NDArray[np.uint8]] = []
        self._used_bytes = 0
        self._peak = self._previous_peak = 0
        self._allocations = 0

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """As ``torch.empty``, float32 or float64 on the CPU."""
        items = math.prod(shape)
        size = items * dtype.itemsize
        if size < SMALL:
            return torch.empty(shape, dtype=dtype)
        view = np.asarray(_Buffer(self, self._take(size)))[:size].view(NUMPY[dtype])
        return torch.from_numpy(view.reshape(shape))

    @property
    def free_bytes(self) -> int:
        """The bytes of the blocks that are not in use."""
        with self._lock:
            self._collect()
            return sum(block.nbytes for block in self._free)

    def clear(self) -> None:
        """Free each block that is not in use."""
        with self._lock:
            self._collect()
            self._free.clear()
            self._peak = self._previous_peak = self._used_bytes

    def give_back(self, block: NDArray[np.uint8]) -> None:
        """Take a block back."""
        self._returned.append(block)

    def _take(self, size: int) -> NDArray[np.uint8]:
        with self._lock:
            self._collect()
            fitting = [block for block in self._free if size <= block.nbytes <= 2 * size]
            if fitting:
                block = min(fitting, key=len)
                self._free = [other for other in self._free if other is not block]
            else:
                block = np.empty(size, np.uint8)
            self._used_bytes += block.nbytes
            self._trim()
            return block

    def _collect(self) -> None:
        while self._returned:
            block = self._returned.popleft()
            self._used_bytes -= block.nbytes
            self._free.append(block)

    def _trim(self) -> None:
        self._allocations += 1
        if self._allocations % RECENT == 0:
            self._peak, self._previous_peak = self._used_bytes, self._peak
        self._peak = max(self._peak, self._used_bytes)
        allowed = max(self._peak, self._previous_peak) - self._used_bytes
        while sum(block.nbytes for block in self._free) > allowed:
            self._free.pop(0)  # the block that was not used for the longest time


class _Buffer:
    """A block as an array interface. NumPy keeps it alive as long as there is a view of it."""

    def __init__(self, pool: BufferPool, block: NDArray[np.uint8]) -> None:
        self._pool = pool
        self._block = block
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        self._pool.give_back(self._block)


POOL = BufferPool()
"""The pool of the engine's calls."""


def _after_fork() -> None:
    POOL._lock = threading.Lock()  # another thread of the parent may have had it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
