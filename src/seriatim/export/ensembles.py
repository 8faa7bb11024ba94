"""Describes ensembles, as mixtures whose networks have equal weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from torch import nn

from seriatim.export.bodies import Arrays, Described
from seriatim.models.ensemble import (
    ClassifierEnsemble,
    ForecasterEnsemble,
    LanguageEnsemble,
    RegressorEnsemble,
    RollEnsemble,
    TaggerEnsemble,
    WriterEnsemble,
    networks_of,
)
from seriatim.models.regressor import OUTPUTS
from seriatim.notation import QUANTILES

FORMS: Final[Mapping[type[nn.Module], Callable[[Any], tuple[str, tuple[int, ...]]]]] = {
    LanguageEnsemble: lambda _: ("linear", ()),
    ClassifierEnsemble: lambda _: ("linear", ()),
    RegressorEnsemble: lambda _: ("quantiles", (1, OUTPUTS)),
    TaggerEnsemble: lambda model: ("linear" if model.chain() is None else "scores", ()),
    RollEnsemble: lambda _: ("linear", ()),
    ForecasterEnsemble: lambda model: ("quantiles", (model.shape.horizon, len(QUANTILES))),
    WriterEnsemble: lambda _: ("linear", ()),
}
"""The form of each ensemble's mixture, and the shape of a member's weight."""


def describe_ensemble(model: nn.Module, describe: Callable[[Any], Described]) -> Described:
    """Describe an ensemble. ``describe`` describes one of its networks."""
    form, shape = FORMS[type(model)](model)
    networks = networks_of(model)
    weight = np.full(shape, 1 / len(networks)).tolist()
    parts: list[dict[str, Any]] = []
    arrays: Arrays = {}
    for number, network in enumerate(networks):
        description, own = describe(network)
        parts.append({"weight": weight, **description})
        arrays |= {f"{number}.{name}": values for name, values in own.items()}
    return {"blend": {"form": form, "parts": parts}}, arrays
