"""Replacement of modules inside a model: where modules are, what a new one takes over, and the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from seriatim.errors import UsageError

Reason = Callable[[nn.Module], "str | None"]


@dataclass
class ReplacementReport:
    """The report of ``accelerate`` and ``restore``: which modules were replaced. ``print`` it."""

    model: nn.Module
    """The model, or its replacement if the model itself was a recurrent layer."""
    changed: dict[str, str] = field(default_factory=dict)
    """Path of each replaced module → the new module. The model itself has the path ``""``."""
    left: dict[str, str] = field(default_factory=dict)
    """Path of each recurrent module that was not replaced → the reason."""
    empty: str = "nothing to replace"
    """The text of a report without modules."""
    note: str = ""
    """The uses that work in another way with the new modules."""

    def __str__(self) -> str:
        rows = [("changed", *item) for item in self.changed.items()] + [("left", *item) for item in self.left.items()]
        if not rows:
            return self.empty
        width = max(len(path or "(model)") for _, path, _ in rows)
        lines = [f"{outcome:7}  {path or '(model)':{width}}  {text}" for outcome, path, text in rows]
        if self.changed and self.note:
            lines.append(f"note     {self.note}")
        return "\n".join([f"{len(self.changed)} changed, {len(self.left)} left", *lines])


class Place(NamedTuple):
    """One place of a module in a model."""

    path: str
    module: nn.Module
    put: Callable[[nn.Module], None] | None
    """Puts another module there. None where that is not possible."""


def replace_modules(
    model: nn.Module, reason_to_leave: Reason, is_candidate: Callable[[nn.Module], bool],
    replacement: Callable[[nn.Module], nn.Module], empty: str, note: str = "",
) -> ReplacementReport:  # fmt: skip
    """Replace each candidate in ``model`` that there is no reason to leave, in all its places.

    Raises ``UsageError`` if ``model`` is not a ``torch.nn.Module``.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"model: got {type(model).__name__}, wanted a torch.nn.Module")
    report = ReplacementReport(model, empty=empty, note=note)
    replacements: dict[nn.Module, nn.Module] = {}
    seen: set[nn.Module] = set()
    for path, module, put in list(places(model)):
        is_first = module not in seen
        seen.add(module)
        if module not in replacements:
            reason = reason_to_leave(module)
            if reason is None and is_candidate(module) and put is None:
                reason = "it is in a tuple"
            if reason is not None and is_first:
                report.left[path] = reason
            if reason is not None or not is_candidate(module):
                continue
            replacements[module] = replacement(module)
            report.changed[path] = repr(replacements[module])
            report.left = {other: text for other, text in report.left.items() if other != path}
        if put is not None:
            put(replacements[module])
    report.model = replacements.get(model, model)
    return report


def places(model: nn.Module) -> Iterator[Place]:
    """All places of modules in ``model``: itself, submodules, and modules in lists, tuples and dicts of attributes.

    Subclasses of these containers count too: an ``OrderedDict``, or the lists in which Keras keeps layers. PyTorch does
    not see such modules as parts of the model. Modules below a module are visited once.
    """
    yield Place("", model, lambda new: None)
    yield from _places_below(model, "", {model})


def _places_below(parent: nn.Module, prefix: str, visited: set[nn.Module]) -> Iterator[Place]:
    for place in (*_submodules(parent, prefix), *_in_containers(parent, prefix)):
        yield place
        if place.module not in visited:
            visited.add(place.module)
            yield from _places_below(place.module, f"{place.path}.", visited)


def _submodules(parent: nn.Module, prefix: str) -> Iterator[Place]:
    is_scripted = isinstance(parent, torch.jit.ScriptModule)
    for name, child in parent._modules.items():
        if child is not None:
            put = None if is_scripted else _setter(parent._modules, name)
            yield Place(prefix + name, child, put)


def _in_containers(parent: nn.Module, prefix: str) -> Iterator[Place]:
    for name, value in list(vars(parent).items()):
        if name in MODULE_ATTRIBUTES or not isinstance(value, (list, tuple, dict)):
            continue
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(child, nn.Module):
                put = None if isinstance(value, tuple) else _setter(value, key)
                yield Place(f"{prefix}{name}[{key!r}]", child, put)


MODULE_ATTRIBUTES = frozenset(vars(nn.Module()))
"""The attributes that every module has."""


def _setter(container: Any, key: Any) -> Callable[[nn.Module], None]:
    def put(new: nn.Module) -> None:
        container[key] = new

    return put


def take_over(old: nn.Module, new: nn.Module) -> nn.Module:
    """Give ``new`` the parameters of ``old``, its hooks, mode, all else of an ``nn.Module``, and the user's attributes.

    The two then share their parameters.
    """
    known = vars(type(old)(1, 1, device="meta"))
    for name, value in vars(old).items():
        if name in MODULE_ATTRIBUTES or name not in known:  # attributes that the user has set are kept too
            vars(new)[name] = value
    if isinstance(new, nn.RNNBase):
        new._init_flat_weights()
    return new


def missing_parameters(module: nn.Module, expected: nn.Module) -> str | None:
    """A reason to leave a module: the parameters of ``expected`` that it computes or that were removed."""
    present = {name for name, value in module._parameters.items() if value is not None}
    missing = sorted(name for name, _ in expected.named_parameters() if name not in present)
    return f"no plain parameter: {', '.join(missing)}" if missing else None
