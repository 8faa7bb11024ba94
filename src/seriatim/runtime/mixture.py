"""Mixtures of the predictions of several models of one task: blends, and ensembles of networks.

The description has the weights and the description of each member. Array ``NAME`` of member N is ``N.NAME``. A member
of a blend may be an ensemble; the members of an ensemble have its name and its settings.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from seriatim.decoding.mixing import MIXERS
from seriatim.errors import DataError
from seriatim.runtime.description import Description
from seriatim.runtime.model import Model, PredictingStreamModel, Stream
from seriatim.runtime.state import State
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]
Member = TypeVar("Member", bound=Model)
MOST_MEMBERS: Final = 256
INHERITED: Final = ("model", "settings")
"""The keys that a member has from the whole, if it has none of its own."""


@dataclass(frozen=True)
class Mixture(Generic[Member]):
    """The members of a mixture and their weights."""

    members: tuple[Member, ...]
    form: str
    weights: Array
    """[M], or [M, H, Q] for quantiles."""

    def mix(self, predictions: Sequence[Array]) -> Array:
        """Mix one array of predictions of each member."""
        with np.errstate(divide="ignore"):
            return MIXERS[self.form](np.stack(predictions), self.weights)


def read_mixture(
    description: Description,
    weights: WeightFile,
    read: Callable[[Description, WeightFile], Member],
    table: bool,
    read_nested: Callable[[Description, WeightFile], Member] | None = None,
) -> Mixture[Member]:
    """Read the members with ``read``, and those that are mixtures with ``read_nested``.

    With ``table`` their weights are tables [H, Q], else numbers.
    """
    blend = description.part("blend")
    form = blend.choice("form", {name: name for name in MIXERS if (name == "quantiles") == table})
    codec = description.value("codec")
    inherited = {name: description.value(name) for name in INHERITED if description.has(name)}
    members, shares = [], []
    parts = blend.parts("parts")
    if not 1 <= len(parts) <= MOST_MEMBERS:
        blend.refuse("parts", f"1 to {MOST_MEMBERS} models")
    for number, part in enumerate(parts):
        shares.append(part.decoded("weight", lambda value: np.array(value, np.float64)))
        is_nested = read_nested is not None and part.has("blend")
        keys = ("model", "blend" if is_nested else "network", "settings")
        content = {name: part.value(name, None) for name in keys if part.has(name)}
        part.done()
        member = Description(part.place, {**inherited, **content, "codec": codec})
        arrays = weights.part(f"{number}.")
        model = read_nested(member, arrays) if is_nested and read_nested else read(member, arrays)
        model.name = member.text("model")
        members.append(model)
        member.value("settings", None)
        member.done()
        arrays.done()
    blend.done()
    axes = 2 if table else 0
    has_equal_shapes = len({share.shape for share in shares}) == 1 and shares[0].ndim == axes
    if not has_equal_shapes or not all(np.isfinite(share).all() and (share >= 0).all() for share in shares):
        shown = "tables of equal size with weights" if table else "a weight"
        blend.refuse("parts", f"{shown} of at least 0 for each model")
    return Mixture(tuple(members), form, np.stack(shares))


def check_parts(state: State, parts: Sequence[State]) -> None:
    """Raise ``DataError`` for a state with arrays that belong to none of its ``parts``."""
    known = {
        f"{number}.{name}"
        for number, part in enumerate(parts)
        for name in (*part.arrays, *(f"carry.{n}" for n in range(len(part.carry))))
    }
    if state.carry or set(state.arrays) != known:
        raise DataError("snapshot: damaged (arrays of no member)")


class MixedStreamModel(PredictingStreamModel):
    """A mixture that can read a stream if each member can. A state has the states of all members."""

    mixture: Mixture[Any]

    @abstractmethod
    def mix(self, predictions: Sequence[Array]) -> Array:
        """Mix the predictions of all members for one step."""

    def stream(self, *, seed: int | None = None) -> Stream:
        for member in self.mixture.members:
            member.stream(seed=seed)  # refuses a member that cannot
        return Stream(self, seed)

    def begin(self, seed: int | None) -> State:
        state = State()
        for number, member in enumerate(self.mixture.members):
            state.set_part(number, member.begin(seed))
        return state

    def read_input(self, x: Any) -> Any:
        """Return what each member reads for ``x``; a network with n-grams reads vectors of its own."""
        return tuple(member.read_input(x) for member in self.mixture.members)

    def step_predictions(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Array | None]:
        predictions, positions = [], [state.position for state in states]
        for number, member in enumerate(self.mixture.members):
            parts = [state.part(number) for state in states]
            predictions.append(member.step_predictions(parts, [x[number] for x in inputs]))
            for state, part in zip(states, parts, strict=True):
                state.set_part(number, part)
            positions = [part.position for part in parts]
        for state, position in zip(states, positions, strict=True):
            state.position = position
        return [None if rows[0] is None else self.mix(rows) for rows in zip(*predictions, strict=True)]

    def answer(self, state: State, x: Any, prediction: Array) -> Any:
        return self.mixture.members[0].answer(state.part(0), x[0], prediction)

    def check_state(self, state: State) -> None:
        parts = []
        for number, member in enumerate(self.mixture.members):
            part = state.part(number)
            member.check_state(part)
            parts.append(part)
        check_parts(state, parts)
