"""A result for people: a table of the model and its baselines, the best first, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from seriatim.cli.output import TextTable, decimals, number, say, show


class Scored(Protocol):
    """A run, as far as its scores are concerned."""

    @property
    def main_score(self) -> str:
        """The score by which models are sorted."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher main score is better."""


def show_result(run: Scored, result: Mapping[str, Any], verdict: str, notes: Sequence[str] = ()) -> None:
    """Write the score table of ``result``, the limited fits, the verdict, the notes and the path of the run folder."""
    from seriatim.run.score_rows import score_rows  # imports PyTorch

    rows, best = score_rows(result)
    show(score_table(rows, run.main_score, run.higher_is_better, marked=best))
    for model, part in result.get("limited", {}).items():
        say(f"{model}: fitted on {part}, to bound its time")
    say()
    if result["baselines"]:
        say(verdict)
    for note in notes:
        say(f"note: {note}")
    say(
        f"{result['parameters']:,} parameters, {_count(result['epochs'], 'epoch')}, "
        f"{_count(round(result['seconds'], 1), 'second')}"
    )
    say(f"run folder: {result['run']}")


def score_table(
    rows: Mapping[str, Mapping[str, float | None]], main_score: str, higher_is_better: bool, marked: str | None = None
) -> TextTable:
    """Return the scores of several models, the best ``main_score`` first, and models without it last."""
    names = _score_names(rows, main_score)
    places = {name: decimals(scores.get(name) for scores in rows.values()) for name in names}

    def sort_key(model: str) -> float:
        score = rows[model].get(main_score)
        if score is None or math.isnan(score):
            return math.inf
        return -score if higher_is_better else score

    models = sorted(rows, key=sort_key)
    return TextTable(
        columns=("model", *names),
        rows=[(model, *(number(rows[model].get(name), places[name]) for name in names)) for model in models],
        marked=models.index(marked) if marked is not None else None,
        numeric=frozenset(names),
    )


def _score_names(rows: Mapping[str, Mapping[str, float | None]], main_score: str) -> Sequence[str]:
    """Return the names of all scores, the main score first."""
    score_names = dict.fromkeys([main_score, *(name for scores in rows.values() for name in scores)])
    return list(score_names)


def _count(amount: float, noun: str) -> str:
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"
