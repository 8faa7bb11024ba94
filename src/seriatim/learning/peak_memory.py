"""Peak memory of a forward and backward pass, estimated by walking the autograd graph.

A block of memory counts from the moment a node saves it for its gradient or passes it on as a gradient, until the last
node that needs it has run. The memory that a node needs while it runs is not counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor


def peak(run: Callable[[], Tensor], weights: Sequence[Tensor], excluded: Sequence[Tensor]) -> int:
    """Return the bytes at the peak of ``run``, which computes a loss, and of the backward pass to ``weights``.

    ``weights``, their gradients and ``excluded`` do not count. No ``.grad`` is changed.
    """
    blocks = _Blocks(excluded=[*weights, *excluded])
    with torch.autograd.graph.saved_tensors_hooks(blocks.save, blocks.load):
        loss = run()
        blocks.watch_graph(loss)
        torch.autograd.grad(loss, weights, allow_unused=True)
    return blocks.peak


@final
class _Blocks:
    """The blocks of memory in use, by address: their sizes, and how many nodes wait for each."""

    def __init__(self, excluded: Sequence[Tensor]) -> None:
        self.bytes = self.peak = 0
        self._excluded = {tensor.untyped_storage().data_ptr() for tensor in excluded}
        self._waiting: Counter[int] = Counter()
        self._sizes: dict[int, int] = {}
        self._sent: dict[Any, list[int]] = defaultdict(list)
        """The gradients on their way to each node."""
        self._loaded: list[int] = []
        """The saved blocks that the running node has loaded."""

    def save(self, tensor: Tensor) -> Tensor:
        self._add(tensor)
        return tensor

    def load(self, tensor: Tensor) -> Tensor:
        self._loaded.append(tensor.untyped_storage().data_ptr())
        return tensor

    def watch_graph(self, loss: Tensor) -> None:
        """Put hooks on all nodes of the graph of ``loss``."""
        pending, visited = [loss.grad_fn], {loss.grad_fn}
        while pending:
            node = pending.pop()
            if node is None:
                continue
            self._watch(node)
            next_nodes = {next_node for next_node, _ in node.next_functions} - visited
            visited |= next_nodes
            pending += next_nodes

    def _watch(self, node: Any) -> None:
        arrived: list[int] = []

        def before_node(gradients: tuple[Tensor | None, ...]) -> None:
            arrived[:] = [self._add(gradient) for gradient in gradients if gradient is not None]
            self._release(self._sent.pop(node, ()))  # several gradients have been summed into one

        def after_node(results: tuple[Tensor | None, ...], gradients: tuple[Tensor | None, ...]) -> None:
            for result, (next_node, _) in zip(results, node.next_functions, strict=False):
                if result is not None and next_node is not None and next_node.next_functions:  # others are weights
                    self._sent[next_node].append(self._add(result))
            self._release(arrived)
            self._release(self._loaded)
            self._loaded.clear()

        node.register_prehook(before_node)
        node.register_hook(after_node)

    def _add(self, tensor: Tensor) -> int:
        block = tensor.untyped_storage()
        address = block.data_ptr()
        if address not in self._excluded:
            self._waiting[address] += 1
            self.bytes += max(block.nbytes() - self._sizes.get(address, 0), 0)
            self._sizes[address] = max(block.nbytes(), self._sizes.get(address, 0))
            self.peak = max(self.peak, self.bytes)
        return address

    def _release(self, addresses: Sequence[int]) -> None:
        for address in addresses:
            if address in self._sizes:
                self._waiting[address] -= 1
                if not self._waiting[address]:
                    self.bytes -= self._sizes.pop(address)
