"""Units that follow something with a name: the position, the depth of brackets, the phase of a season, a count.

A unit follows a quantity if its values are correlated with it over all steps, more than chance allows (Karpathy 2015
found such units by eye). Chance is the largest correlation of any unit with the same quantity moved in time by a random
number of steps, around the end of its row: so it keeps its own rhythm, and loses its place. A quantity of a single
step, such as the label of a sequence at its last step, is given to other rows instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

MOVES = 20


@dataclass(frozen=True)
class Follower:
    """The unit that follows a quantity best."""

    name: str
    unit: int
    correlation: float
    chance: float
    """The largest correlation of any unit, in ``MOVES`` random moves of the quantity."""

    @property
    def is_real(self) -> bool:
        """Whether the unit follows the quantity more than chance allows."""
        return abs(self.correlation) > self.chance


def follower(name: str, states: Tensor, quantity: Tensor, *, seed: int = 0) -> Follower:
    """Find the unit of states [T, B, H] with the largest correlation with a quantity [T, B].

    >>> steps = torch.arange(50.0)[:, None].expand(-1, 4)
    >>> states = torch.stack([torch.sin(9 * steps), -2 * steps], 2)
    >>> found = follower("position", states, steps)
    >>> found.unit, round(found.correlation, 3)
    (1, -1.0)
    """
    values = _standard(states.detach().double().flatten(0, 1))
    correlations = values.T @ _standard(quantity.double().flatten()[:, None])[:, 0]
    unit = int(correlations.abs().argmax())
    generator = torch.Generator().manual_seed(seed)
    chance = 0.0
    steps = torch.arange(len(quantity))[:, None]
    for _ in range(MOVES):
        if len(quantity) == 1:
            moved = quantity[:, torch.randperm(quantity.shape[1], generator=generator)]
        else:
            shifts = torch.randint(1, len(quantity), (1, quantity.shape[1]), generator=generator)
            moved = quantity.gather(0, (steps + shifts) % len(quantity))
        chance = max(chance, float((values.T @ _standard(moved.double().flatten()[:, None])[:, 0]).abs().max()))
    return Follower(name, unit, float(correlations[unit]), chance)


def followers(states: Tensor, quantities: Mapping[str, Tensor], *, seed: int = 0) -> tuple[Follower, ...]:
    """Find the best unit for each quantity that is not constant."""
    return tuple(
        follower(name, states, quantity, seed=seed)
        for name, quantity in quantities.items()
        if float(quantity.double().std()) > 0
    )


def bracket_depth(units: Tensor, opening: set[int], closing: set[int]) -> Tensor:
    """The depth of brackets after each of the units [T, B], never below 0.

    >>> bracket_depth(torch.tensor([[5], [0], [5], [6], [6]]), {5}, {6}).flatten().tolist()
    [1, 1, 2, 1, 0]
    """
    depth = torch.zeros_like(units[0])
    depths = []
    for row in units:
        up = sum((row == unit).long() for unit in opening) if opening else torch.zeros_like(row)
        down = sum((row == unit).long() for unit in closing) if closing else torch.zeros_like(row)
        depth = (depth + up - down).clamp(min=0)
        depths.append(depth)
    return torch.stack(depths)


def steps_since(units: Tensor, marks: set[int]) -> Tensor:
    """Steps since the last of ``marks`` in the units [T, B], or since the beginning.

    >>> steps_since(torch.tensor([[3], [3], [0], [3], [3]]), {0}).flatten().tolist()
    [1, 2, 0, 1, 2]
    """
    count = torch.zeros_like(units[0])
    counts = []
    for row in units:
        is_mark = torch.zeros_like(row, dtype=torch.bool)
        for unit in marks:
            is_mark = is_mark | (row == unit)
        count = torch.where(is_mark, 0, count + 1)
        counts.append(count)
    return torch.stack(counts)


def _standard(values: Tensor) -> Tensor:
    """Columns [N, H] about their mean, of length 1; zeros for a constant one."""
    centred = values - values.mean(0)
    lengths: Tensor = torch.linalg.vector_norm(centred, dim=0)
    return centred / lengths.clamp(min=1e-12)
