"""Large buffers on loan: what a forward keeps for its backward is as large every time, and new memory is slow.

The first touch of memory that is fresh from the operating system costs as much as the kernels that write it. So a
buffer goes back to its pool when the last tensor over it is gone, wherever that tensor was kept: two graphs that live
at once never share one. The pool holds on to no more than was recently in use at once.
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
"""Bytes below which the C library reuses memory by itself."""
RECENT = 64
"""Loans; the high-water mark forgets what is two such spans ago."""

NUMPY: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}


class Pool:
    """Blocks of memory by size, for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._returned: deque[NDArray[np.uint8]] = deque()
        """Blocks on their way back. No lock here: a tensor may die anywhere, even while this thread has it."""
        self._free: list[NDArray[np.uint8]] = []
        self._lent = 0
        self._high = self._high_before = 0
        self._loans = 0

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """As ``torch.empty``, float32 or float64 on the CPU."""
        items = math.prod(shape)
        size = items * dtype.itemsize
        if size < SMALL:
            return torch.empty(shape, dtype=dtype)
        view = np.asarray(_Loan(self, self._take(size)))[:size].view(NUMPY[dtype])
        return torch.from_numpy(view.reshape(shape))

    @property
    def held(self) -> int:
        """Bytes of the blocks that nobody uses."""
        with self._lock:
            self._collect()
            return sum(block.nbytes for block in self._free)

    def clear(self) -> None:
        """Let go of every block that nobody uses."""
        with self._lock:
            self._collect()
            self._free.clear()
            self._high = self._high_before = self._lent

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
            self._lent += block.nbytes
            self._trim()
            return block

    def _collect(self) -> None:
        while self._returned:
            block = self._returned.popleft()
            self._lent -= block.nbytes
            self._free.append(block)

    def _trim(self) -> None:
        self._loans += 1
        if self._loans % RECENT == 0:
            self._high, self._high_before = self._lent, self._high
        self._high = max(self._high, self._lent)
        spare = max(self._high, self._high_before) - self._lent
        while sum(block.nbytes for block in self._free) > spare:
            self._free.pop(0)  # the one unused for longest


class _Loan:
    """Memory on loan, as an array that NumPy keeps alive for as long as there is a view of it."""

    def __init__(self, pool: Pool, block: NDArray[np.uint8]) -> None:
        self._pool = pool
        self._block = block
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        self._pool.give_back(self._block)


POOL = Pool()
"""The one that the operators use."""


def _after_fork() -> None:
    POOL._lock = threading.Lock()  # another thread may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
