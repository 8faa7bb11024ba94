"""Users' subclasses of PyTorch's layers and cells, with our forward in place of PyTorch's.

A subclass often extends ``forward``, for empty sequences for example, and calls ``super().forward``. In a class with
the bases (subclass, ours) our class follows the subclass and precedes PyTorch's, so that this call reaches ours. The
subclass's own code runs as before. This is safe if it overrides nothing else of PyTorch's layer or of ours.
"""

from __future__ import annotations

import types
from typing import Any

from torch import nn

HARMLESS = frozenset({
    "__abstractmethods__", "__annotations__", "__annotate_func__", "__annotations_cache__", "__dict__", "__doc__",
    "__firstlineno__", "__init__", "__module__", "__orig_bases__", "__parameters__", "__slots__",
    "__static_attributes__", "__weakref__", "_abc_impl", "forward",
})  # fmt: skip
"""The attributes that a subclass may define although the other classes have them too."""


def reason_to_leave_subclass(module: nn.Module, base: type[nn.Module], ours: nn.Module) -> str | None:
    """The reason why a module of a subclass of ``base`` cannot become one of ours with the same options, or None."""
    own_classes = [cls for cls in type(module).__mro__ if cls not in base.__mro__]
    defined = {name for cls in own_classes for name in vars(cls)} - HARMLESS
    overridden = sorted(name for name in defined if hasattr(base, name) or hasattr(type(ours), name))
    taken = sorted((vars(ours).keys() - vars(base(1, 1, device="meta")).keys()) & vars(module).keys())
    if overridden or taken:
        return f"{_name(module, base)} is a subclass of {base.__name__} with its own {', '.join(overridden + taken)}"
    for cls in own_classes:
        forward = vars(cls).get("forward")
        if forward is not None and "__class__" not in getattr(getattr(forward, "__code__", None), "co_freevars", ()):
            return f"{_name(module, base)} is a subclass of {base.__name__} whose forward does not call super()"
    try:
        subclass_of_ours(type(module), type(ours))
    except TypeError as error:  # the bases have no common order
        return f"{_name(module, base)}: {error}"
    return None


def _name(module: nn.Module, base: type[nn.Module]) -> str:
    cls = type(module)
    return cls.__name__ if cls.__name__ != base.__name__ else f"{cls.__module__}.{cls.__qualname__}"


def subclass_of_ours(users: Any, ours: Any) -> type[nn.Module]:
    """The class with the bases ``users`` and ``ours``. It has the name of the first, and pickles name both."""
    if (users, ours) in _subclasses:
        return _subclasses[users, ours]

    def fill(namespace: dict[str, Any]) -> None:
        namespace["__module__"], namespace["__doc__"] = users.__module__, users.__doc__
        namespace["accelerated_bases"] = (users, ours)
        namespace["__reduce__"] = lambda self: (new_instance, (users, ours), self.__getstate__())

    _subclasses[users, ours] = cls = types.new_class(users.__name__, (users, ours), {}, fill)
    return cls


_subclasses: dict[tuple[Any, Any], type[nn.Module]] = {}


def new_instance(users: type[nn.Module], ours: type[nn.Module]) -> nn.Module:
    """An instance without a state, for pickles and copies."""
    cls = subclass_of_ours(users, ours)
    return cls.__new__(cls)


def convert_in_place(module: nn.Module, base: type[nn.Module], ours: nn.Module) -> nn.Module:
    """Make ``module`` an instance of its class and of ours. ``ours`` has the same options."""
    known = vars(base(1, 1, device="meta")).keys()
    added = {name: value for name, value in vars(ours).items() if name not in known}
    module.__class__ = subclass_of_ours(type(module), type(ours))
    for name in ("_flat_weights", "_flat_weight_refs"):
        vars(module).pop(name, None)
    vars(module).update(added)
    return module


def revert_in_place(module: nn.Module, empty: nn.Module) -> nn.Module:
    """Undo ``convert_in_place``. ``empty`` is PyTorch's module with the same options."""
    users, ours = type(module).accelerated_bases  # type: ignore[attr-defined]
    for name in vars(ours(1, 1, device="meta")).keys() - vars(empty).keys():
        vars(module).pop(name, None)
    module.__class__ = users
    if isinstance(module, nn.RNNBase):
        module._init_flat_weights()
    return module
