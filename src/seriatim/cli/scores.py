"""A result as a person reads it: the model among its baselines, best first, and the verdict in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from seriatim.cli.output import Table, decimals, number, say, show


class Scored(Protocol):
    """What tells how the scores of a run are read."""

    @property
    def main_score(self) -> str:
        """The score that the task sorts by."""

    @property
    def higher_is_better(self) -> bool:
        """Its direction."""


def show_result(run: Scored, result: Mapping[str, Any], verdict: str, notes: Sequence[str] = ()) -> None:
    """Write the score table of ``result``, the verdict on it, the notes and where the run folder is."""
    rows = {result["model"]: result["scores"], **result["baselines"]}
    show(score_table(rows, run.main_score, run.higher_is_better, marked=result["model"]))
    say()
    if result["baselines"]:
        say(verdict)
    for note in notes:
        say(f"note: {note}")
    say(
        f"{result['parameters']:,} parameters, {_counted(result['epochs'], 'epoch')}, "
        f"{_counted(round(result['seconds'], 1), 'second')}"
    )
    say(f"run folder: {result['run']}")


def score_table(
    rows: Mapping[str, Mapping[str, float | None]], main_score: str, higher_is_better: bool, marked: str | None = None
) -> Table:
    """The scores of several models, best ``main_score`` first; those without it come last."""
    names = _score_names(rows, main_score)
    places = {name: decimals(scores.get(name) for scores in rows.values()) for name in names}

    def badness(model: str) -> float:
        score = rows[model].get(main_score)
        if score is None or math.isnan(score):
            return math.inf
        return -score if higher_is_better else score

    models = sorted(rows, key=badness)
    return Table(
        columns=("model", *names),
        rows=[(model, *(number(rows[model].get(name), places[name]) for name in names)) for model in models],
        marked=models.index(marked) if marked is not None else None,
        numeric=frozenset(names),
    )


def _score_names(rows: Mapping[str, Mapping[str, float | None]], main_score: str) -> Sequence[str]:
    """Every score of any row, the main one first, the others as they come."""
    found = dict.fromkeys([main_score, *(name for scores in rows.values() for name in scores)])
    return list(found)


def _counted(amount: float, noun: str) -> str:
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"
