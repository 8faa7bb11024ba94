"""A run in a notebook: its scores as a table, the best first, and the curves of its training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from seriatim.insight.report.chart import Axis, Line, chart
from seriatim.run.score_rows import score_rows

STYLE = """
.seriatim { --ink: #1c1e21; --soft: #5b6470; --rule: #d8dce2; --c0: #1f6fb2; --c1: #c4561b; max-width: 40rem }
@media (prefers-color-scheme: dark) {
.seriatim { --ink: #a3acb8; --soft: #a3acb8; --rule: #555; --c0: #6db3f2; --c1: #f2935a } }
.seriatim svg { width: 100%; max-width: 32rem; height: auto; display: block }
.seriatim svg text { fill: var(--ink); font: 16px system-ui, sans-serif }
.seriatim svg .tick { fill: var(--soft); font-size: 15px } .seriatim svg .grid { stroke: var(--rule) }
.seriatim svg .line { fill: none; stroke-width: 2.5 }
.seriatim svg .c0 { stroke: var(--c0) } .seriatim svg .c1 { stroke: var(--c1) }
.seriatim .legend { list-style: none; margin: 0; padding: 0; font-size: .85em }
.seriatim .legend li { display: inline-block; margin-right: 1.5em }
.seriatim .key { display: inline-block; width: 1.2em; height: .25em; margin-right: .4em; vertical-align: middle }
.seriatim .key.c0 { background: var(--c0) } .seriatim .key.c1 { background: var(--c1) }
"""


def as_html(
    title: str, result: Mapping[str, Any] | None, rows: Sequence[Mapping[str, float]], verdict: str, main_score: str,
    higher_is_better: bool,
) -> str:  # fmt: skip
    """Return the HTML of a run. ``result`` is None for an unfinished run, ``rows`` are those of ``metrics.jsonl``."""
    table = "" if result is None else _table(result, main_score, higher_is_better)
    sentence = "this run is not finished" if result is None else verdict
    parts = [f"<style>{STYLE}</style>", f"<strong>{escape(title)}</strong>", table, f"<p>{escape(sentence)}</p>"]
    return f'<div class="seriatim">{"".join(parts)}{_curves(rows)}</div>'


def _table(result: Mapping[str, Any], main_score: str, higher_is_better: bool) -> str:
    models, best = score_rows(result)
    names = list(dict.fromkeys([main_score, *(name for scores in models.values() for name in scores)]))

    def rank(model: str) -> float:
        score = models[model].get(main_score, math.nan)
        return math.inf if math.isnan(score) else -score if higher_is_better else score

    lines = ["<tr><th>model</th>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr>"]
    for model in sorted(models, key=rank):
        cells = "".join(f"<td>{_number(models[model].get(name))}</td>" for name in names)
        label = f"<strong>{escape(model)}</strong>" if model == best else escape(model)
        lines.append(f"<tr><td>{label}</td>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _curves(rows: Sequence[Mapping[str, float]]) -> str:
    """Draw the loss of the training part and the score that chose the weights, over the epochs."""
    if len(rows) < 2:
        return ""
    score = next(name for name in rows[0] if name.startswith("valid_"))
    lines = [
        Line(name.replace("_", " "), [(row["epoch"], row[name]) for row in rows]) for name in ("train_loss", score)
    ]
    return chart(Axis("epoch"), Axis("loss"), lines, title="training")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
