"""A function that is traced into a flat graph once: ``vjp`` and ``vmap`` cost more per call than the operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

Function: TypeAlias = Callable[..., tuple[Tensor, ...]]


@final
class TracedFunction:
    """The graph of ``function``, for arguments like ``arguments``. The first ``fixed`` of them seldom change.

    Results that depend on these alone are computed once, as long as they are the same tensors. Raises
    ``RuntimeError`` for a function that chooses its operations by the values of tensors, because it cannot be traced.
    """

    def __init__(self, function: Function, arguments: Sequence[Tensor], fixed: int) -> None:
        generator_state = torch.get_rng_state()
        try:
            module = make_fx(functionalize(function))(*arguments)
        finally:
            torch.set_rng_state(generator_state)
        if any(map(_mutates, module.graph.nodes)):
            fixed = 0
        else:
            _eliminate_common(module.graph)
        self._fixed_part, self._step_part = _split(module, fixed)
        self._fixed = fixed
        self._last_arguments: tuple[Tensor, ...] | None = None
        self._fixed_results: tuple[Tensor, ...] = ()

    def __call__(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        fixed, others = arguments[: self._fixed], arguments[self._fixed :]
        last = self._last_arguments
        if last is None or any(argument is not old for argument, old in zip(fixed, last, strict=True)):
            self._last_arguments, self._fixed_results = fixed, self._fixed_part(*fixed)
        results: tuple[Tensor, ...] = self._step_part(*fixed, *self._fixed_results, *others)
        return results


def _eliminate_common(graph: fx.Graph) -> None:
    """Remove operations that return their argument unchanged, and repeated ones."""
    first_nodes: dict[Any, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        equal_node = node.args[0] if _is_identity(node) else None
        if equal_node is None and _is_pure(node):
            equal_node = first_nodes.setdefault((node.target, _key(node.args), _key(tuple(node.kwargs.items()))), node)
        if isinstance(equal_node, fx.Node) and equal_node is not node:
            node.replace_all_uses_with(equal_node)
            graph.erase_node(node)
    graph.eliminate_dead_code()


def _is_identity(node: fx.Node) -> bool:
    """Whether this operation returns its first argument unchanged. (``detach`` does, since no gradient is recorded.)"""
    aten = torch.ops.aten
    if node.target is aten.detach.default or (node.target is aten.mul.Scalar and node.args[1] == 1):
        return True
    if node.target not in (aten.view.default, aten.permute.default, aten._unsafe_view.default, aten.expand.default):
        return False
    argument, result = node.args[0].meta.get("val"), node.meta.get("val")  # type: ignore[union-attr]
    return (
        argument is not None and result is not None
        and (argument.shape, argument.stride()) == (result.shape, result.stride())
    )  # fmt: skip


def _mutates(node: fx.Node) -> bool:
    """Whether this operation writes into its arguments."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _is_pure(node: fx.Node) -> bool:
    """Whether this operation returns the same result at every call with the same arguments."""
    target = node.target
    return not (isinstance(target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in target.tags)


def _key(value: Any) -> Any:
    """Return arguments as a dictionary key, in which 1, 1.0 and True differ."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_key, value))
    return value if isinstance(value, fx.Node) else (type(value), repr(value))


def _split(module: fx.GraphModule, fixed: int) -> tuple[Function, Function]:
    """Split a graph into the part that depends on the first ``fixed`` inputs alone, and the rest.

    The first part takes these inputs. The second part takes these inputs, the results of the first part, and the other
    inputs.
    """
    nodes = list(module.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    early = set(inputs[:fixed])
    for node in nodes:
        depends_on_fixed = node.op == "call_function" and _is_pure(node) and early.issuperset(node.all_input_nodes)
        if depends_on_fixed or node.op == "get_attr":
            early.add(node)
    passed = [node for node in nodes if node in early.difference(inputs) and not early.issuperset(node.users)]
    (result,) = nodes[-1].args
    early_nodes = [node for node in nodes if node in early]
    late_nodes = [node for node in nodes[:-1] if node not in early]
    first = _part(module, inputs[:fixed], early_nodes, tuple(passed))
    return first, _part(module, [*inputs[:fixed], *passed, *inputs[fixed:]], late_nodes, result)


def _part(module: fx.GraphModule, inputs: Sequence[fx.Node], nodes: Iterable[fx.Node], result: Any) -> Function:
    """Return ``nodes`` of a graph as a function from ``inputs`` to ``result``."""
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in nodes:
        if node not in copies:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(fx.node.map_arg(result, copies.__getitem__))
    function: Function = fx.GraphModule(module, graph).forward
    return function
