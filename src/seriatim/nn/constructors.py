"""Constructors of layers and cells: their shared keyword arguments, and the decorator that passes arguments on.

Each public class declares the arguments of its own ``__init__``, in PyTorch's order. The keyword arguments that all of
them share are declared once, here. ``constructor`` sorts both into a ``CellSpec`` and the arguments of the base class.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar, cast

from torch import nn

from seriatim.nn import checks
from seriatim.nn.recurrent import DEFAULTS
from seriatim.nn.zoneout import Zoneout
from seriatim.spec import COUPLED, CellSpec

Init = TypeVar("Init", bound=Callable[..., None])
SPEC_FIELDS = {field.name for field in dataclasses.fields(CellSpec)}
SPEC_NAMES = {"nonlinearity": "activation"}
"""Arguments that have another name in ``CellSpec``."""


class MaskOptions(TypedDict, total=False):
    """Random masks that a layer draws in training, for every cell."""

    locked_dropout: float
    """Probability of dropout between layers, with one mask per sequence (Gal & Ghahramani 2016)."""
    recurrent_dropout: float
    """Probability of dropout of h wherever it enters a product: one mask per sequence, layer and direction (same)."""
    zoneout: Zoneout
    """Probability that a unit keeps its old value at a step, for all states or for each (Krueger 2016)."""
    weight_drop: float
    """Probability of dropout of the weights between h and h: one mask per call, layer and direction (Merity 2018)."""


class NormOptions(TypedDict, total=False):
    """Variants of the equations of an RNN, LSTM or GRU."""

    layer_norm: bool
    """Normalise the input part and the recurrent part of the gates, and an LSTM's c before its tanh (Ba 2016)."""
    clip: float
    """Keep every gate within ± clip before its activation, as ONNX's nodes do. 0 is no limit."""


class LayerOptions(NormOptions, MaskOptions, total=False):
    """Keyword arguments of ``RNN``, ``LSTM`` and ``GRU`` that ``torch.nn`` does not have."""


class NoOptions(TypedDict):
    """No further keyword arguments."""


def constructor(base: type[nn.Module], options: type[Any]) -> Callable[[Init], Init]:
    """Turn a declaration of arguments into an ``__init__`` that calls ``base.__init__(spec, …)``.

    ``options`` is the TypedDict of the declaration's ``**options``; ``inspect.signature`` shows its keys as keyword
    arguments with their defaults. The spec's kind is the class's ``kind``, and ``bias=None`` means the class's
    ``has_bias``. The body of the declaration runs last.
    """

    def decorate(init: Init) -> Init:
        signature = _expanded(inspect.signature(init), options)

        @functools.wraps(init)
        def construct(self: Any, *args: Any, **kwargs: Any) -> None:
            call = signature.bind(self, *args, **kwargs)
            call.apply_defaults()
            arguments = {SPEC_NAMES.get(name, name): value for name, value in call.arguments.items() if name != "self"}
            if arguments["bias"] is None:
                arguments["bias"] = getattr(type(self), "has_bias", None)
            is_coupled = checks.flag("coupled", arguments.pop("coupled", False))
            kind = COUPLED[self.kind] if is_coupled else self.kind
            spec = CellSpec(kind, **{name: arguments.pop(name) for name in SPEC_FIELDS & arguments.keys()})
            base.__init__(self, spec, **arguments)
            init(self, *args, **kwargs)

        construct.__signature__ = signature  # type: ignore[attr-defined]
        return cast(Init, construct)

    return decorate


def _expanded(signature: inspect.Signature, options: type[Any]) -> inspect.Signature:
    """Replace ``**options`` by the keyword arguments that ``options`` declares."""
    declared = [value for value in signature.parameters.values() if value.kind is not value.VAR_KEYWORD]
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=DEFAULTS[name],
            annotation=getattr(annotation, "__forward_arg__", annotation),
        )
        for name, annotation in options.__annotations__.items()
    ]
    return signature.replace(parameters=[*declared, *shared])
