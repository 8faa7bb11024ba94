"""The networks of a run: one, or with ``--ensemble K`` K networks from consecutive seeds, one after the other.

They share the data, the split and the time limit. The first lies in the run folder as a single network does, the others
in ``members/2``, ``members/3`` and so on, each with its weights, rows and checkpoint.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seriatim.errors import UsageError
from seriatim.learning.observer import Observer
from seriatim.learning.plan import OnValidation, Outcome
from seriatim.learning.team import Team
from seriatim.learning.training_end import time_limit_of
from seriatim.models.ensemble import networks_of
from seriatim.run.opened import finite_scores, joined
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.task import Model, PreparedData, Task

SMALLEST_SHARE = 0.25
"""A network gets at least this share of an equal part of the time limit, however long the ones before it took."""


@dataclass(frozen=True)
class FittedNetworks:
    """The networks of one training."""

    models: tuple[Model, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def model(self) -> Model:
        """The only network, or the average of all."""
        return joined(self.models)


def check_ensemble(task: Task[Any, Any, Any], options: TrainOptions, team: Team) -> None:
    """Refuse ``--ensemble`` where it has no meaning. Raises ``UsageError``."""
    if options.ensemble == 1:
        return
    if options.model in task.baselines and options.model not in task.neural_baselines:
        raise UsageError(f"ensemble: for networks, whose seeds differ; {options.model} is fitted in one go")
    if team.size > 1:
        raise UsageError(
            f"ensemble: got {options.ensemble} with {team.size} processes, which train one network together; "
            "train on one process, or leave it out"
        )


def fit_each(
    count: int,
    options: TrainOptions,
    fit: Callable[[int, TrainOptions, OnValidation | None], Outcome],
    observer: Observer,
    on_validation: OnValidation | None = None,
) -> list[Outcome]:
    """Call ``fit`` for each of ``count`` networks, with its number from 0, its options and its ``on_validation``.

    The options of a network have its seed and an equal share of the time that is left. When ``on_validation`` ends the
    training of a network, those after it are not trained. Rows of several networks have the number of the ``network``,
    from 1.
    """
    outcomes: list[Outcome] = []
    limit, user_stops = time_limit_of(options), False
    for number in range(count):
        left = limit - sum(outcome.seconds for outcome in outcomes)
        share = max(left / (count - number), SMALLEST_SHARE * limit / count)
        own = dataclasses.replace(
            options,
            seed=options.seed + number,
            time_limit=None if math.isinf(limit) else share,
            lr=_rate(options, outcomes),
        )
        if count > 1:
            observer.note(f"network {number + 1} of {count}, seed {own.seed}")

        def watch(row: dict[str, float], number: int = number) -> bool:
            nonlocal user_stops
            assert on_validation is not None
            user_stops = bool(on_validation({**row, "network": number + 1} if count > 1 else row))
            return user_stops

        outcomes.append(fit(number, own, None if on_validation is None else watch))
        if user_stops:
            break
    return outcomes


def member_scores(
    task: Task[Any, Any, Any], model: Model, options: TrainOptions, codec: object, part: object
) -> list[dict[str, float]]:
    """Score each network of an ensemble on an encoded part."""
    return [finite_scores(task, network, options, codec, part) for network in networks_of(model)]


def described(
    task: Task[Any, Any, Any], options: TrainOptions, networks: FittedNetworks, data: PreparedData[Any, Any]
) -> dict[str, Any]:
    """Return the key ``ensemble`` of a result, or nothing for a run of one network."""
    if options.ensemble == 1:
        return {}
    scores = member_scores(task, networks.model, options, data.codec, data.test)
    return {
        "ensemble": [
            {
                "seed": options.seed + number,
                "epochs": outcome.epochs,
                "seconds": round(outcome.seconds, 3),
                "scores": own_scores,
            }
            for number, (outcome, own_scores) in enumerate(zip(networks.outcomes, scores, strict=True))
        ]
    }


def with_scores(ensemble: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return the key ``ensemble`` of a result with other scores of its networks."""
    return [{**entry, "scores": own} for entry, own in zip(ensemble, scores, strict=True)]


def _rate(options: TrainOptions, outcomes: Sequence[Outcome]) -> float | str:
    """Return the learning rate of the next network: that of the options, or of the first's range test."""
    tested_rate = outcomes[0].found_lr if outcomes else None
    return options.lr if tested_rate is None else tested_rate
