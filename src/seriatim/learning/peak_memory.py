"""What a pass forward and backward holds at its peak, followed from node to node of the graph.

Blocks of memory are counted from the moment a node saves them for its gradient or hands them on as one, until the last
node that waits for them has run. What a node needs while it runs is not seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor


def peak(run: Callable[[], Tensor], weights: Sequence[Tensor], apart: Sequence[Tensor]) -> int:
    """Bytes at the peak of ``run``, which makes a loss, and of the pass backward to ``weights``.

    Neither ``weights`` nor ``apart`` count, nor the gradients of ``weights``; no ``.grad`` is changed.
    """
    held = _Held(apart=[*weights, *apart])
    with torch.autograd.graph.saved_tensors_hooks(held.save, held.need):
        loss = run()
        held.follow(loss)
        torch.autograd.grad(loss, weights, allow_unused=True)
    return held.peak


@final
class _Held:
    """Blocks by address, how many wait for each, and their bytes together."""

    def __init__(self, apart: Sequence[Tensor]) -> None:
        self.bytes = self.peak = 0
        self._apart = {one.untyped_storage().data_ptr() for one in apart}
        self._waiting: Counter[int] = Counter()
        self._sizes: dict[int, int] = {}
        self._sent: dict[Any, list[int]] = defaultdict(list)
        """Gradients on their way to a node."""
        self._needed: list[int] = []
        """Saved blocks that the node that runs now has asked for."""

    def save(self, one: Tensor) -> Tensor:
        self._hold(one)
        return one

    def need(self, one: Tensor) -> Tensor:
        self._needed.append(one.untyped_storage().data_ptr())
        return one

    def follow(self, loss: Tensor) -> None:
        """Watch every node behind ``loss``."""
        ahead, seen = [loss.grad_fn], {loss.grad_fn}
        while ahead:
            node = ahead.pop()
            if node is None:
                continue
            self._watch(node)
            following = {one for one, _ in node.next_functions} - seen
            seen |= following
            ahead += following

    def _watch(self, node: Any) -> None:
        arrived: list[int] = []

        def before(gradients: tuple[Tensor | None, ...]) -> None:
            arrived[:] = [self._hold(one) for one in gradients if one is not None]
            self._release(self._sent.pop(node, ()))  # now summed, where there were several

        def after(found: tuple[Tensor | None, ...], gradients: tuple[Tensor | None, ...]) -> None:
            for one, (following, _) in zip(found, node.next_functions, strict=False):
                if one is not None and following is not None and following.next_functions:  # others are weights
                    self._sent[following].append(self._hold(one))
            self._release(arrived)
            self._release(self._needed)
            self._needed.clear()

        node.register_prehook(before)
        node.register_hook(after)

    def _hold(self, one: Tensor) -> int:
        block = one.untyped_storage()
        address = block.data_ptr()
        if address not in self._apart:
            self._waiting[address] += 1
            self.bytes += max(block.nbytes() - self._sizes.get(address, 0), 0)
            self._sizes[address] = max(block.nbytes(), self._sizes.get(address, 0))
            self.peak = max(self.peak, self.bytes)
        return address

    def _release(self, blocks: Sequence[int]) -> None:
        for address in blocks:
            if address in self._sizes:
                self._waiting[address] -= 1
                if not self._waiting[address]:
                    self.bytes -= self._sizes.pop(address)
