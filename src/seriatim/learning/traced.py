"""A function's operations, written down once: what differentiates it and maps it over rows costs more than they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

Flat: TypeAlias = Callable[..., tuple[Tensor, ...]]


@final
class TracedFunction:
    """``function`` of tensors like ``given``, of which the first ``fixed`` seldom change.

    What follows from these alone is done once for as long as they are the same tensors. Raises ``RuntimeError`` for a
    function that looks at numbers to choose what to do, which cannot be written down.
    """

    def __init__(self, function: Flat, given: Sequence[Tensor], fixed: int) -> None:
        draws = torch.get_rng_state()
        try:
            module = make_fx(functionalize(function))(*given)
        finally:
            torch.set_rng_state(draws)
        if any(map(_changes, module.graph.nodes)):
            fixed = 0
        else:
            _shorten(module.graph)
        self._before, self._step = _parts(module, fixed)
        self._fixed = fixed
        self._seen: tuple[Tensor, ...] | None = None
        self._found: tuple[Tensor, ...] = ()

    def __call__(self, *given: Tensor) -> tuple[Tensor, ...]:
        first = given[: self._fixed]
        if self._seen is None or any(one is not other for one, other in zip(first, self._seen, strict=True)):
            self._seen, self._found = first, self._before(*first)
        found: tuple[Tensor, ...] = self._step(*first, *self._found, *given[self._fixed :])
        return found


def _shorten(graph: fx.Graph) -> None:
    """Leave out what changes nothing, and what was done before."""
    known: dict[Any, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        same = node.args[0] if _is_idle(node) else None
        if same is None and _is_pure(node):
            same = known.setdefault((node.target, _frozen(node.args), _frozen(tuple(node.kwargs.items()))), node)
        if isinstance(same, fx.Node) and same is not node:
            node.replace_all_uses_with(same)
            graph.erase_node(node)
    graph.eliminate_dead_code()


def _is_idle(node: fx.Node) -> bool:
    """Whether this gives its first argument as it is; nothing is recorded here."""
    aten = torch.ops.aten
    if node.target is aten.detach.default or (node.target is aten.mul.Scalar and node.args[1] == 1):
        return True
    if node.target not in (aten.view.default, aten.permute.default, aten._unsafe_view.default, aten.expand.default):
        return False
    before, after = node.args[0].meta.get("val"), node.meta.get("val")  # type: ignore[union-attr]
    return (
        before is not None and after is not None
        and (before.shape, before.stride()) == (after.shape, after.stride())
    )  # fmt: skip


def _changes(node: fx.Node) -> bool:
    """Whether this writes into what it is given."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _is_pure(node: fx.Node) -> bool:
    """Whether this gives the same whenever it is done."""
    target = node.target
    return not (isinstance(target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in target.tags)


def _frozen(value: Any) -> Any:
    """Arguments as a key; 1 and 1.0 and True are not the same."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_frozen, value))
    return value if isinstance(value, fx.Node) else (type(value), repr(value))


def _parts(module: fx.GraphModule, fixed: int) -> tuple[Flat, Flat]:
    """What follows from the first ``fixed`` inputs alone, and the rest.

    The first part takes these inputs, the second them, what the first part gave and the other inputs.
    """
    nodes = list(module.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    early = set(inputs[:fixed])
    for node in nodes:
        constant = node.op == "call_function" and _is_pure(node) and early.issuperset(node.all_input_nodes)
        if constant or node.op == "get_attr":
            early.add(node)
    passed = [node for node in nodes if node in early.difference(inputs) and not early.issuperset(node.users)]
    (result,) = nodes[-1].args
    within = [node for node in nodes if node in early]
    beyond = [node for node in nodes[:-1] if node not in early]
    before = _part(module, inputs[:fixed], within, tuple(passed))
    return before, _part(module, [*inputs[:fixed], *passed, *inputs[fixed:]], beyond, result)


def _part(module: fx.GraphModule, inputs: Sequence[fx.Node], nodes: Iterable[fx.Node], result: Any) -> Flat:
    """Some nodes of a graph as a function of others."""
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in nodes:
        if node not in copies:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(fx.node.map_arg(result, copies.__getitem__))
    flat: Flat = fx.GraphModule(module, graph).forward
    return flat
