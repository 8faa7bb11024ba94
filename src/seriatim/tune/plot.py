"""The plot of a search: the value of each trial in order, and against each option that was tried."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from seriatim.tune.results import Search

COLOURS = {"complete": "#2a6f97", "pruned": "#c9a227", "unfinished": "#9a9a9a", "failed": "#9a9a9a"}
WIDTH, HEIGHT = 3.4, 2.8
"""Inches of a panel."""
COLUMNS = 3


def draw(search: Search) -> bytes:
    """Return the plot as SVG. Trials without a validation are not in it."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "seriatim", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        from matplotlib.figure import Figure

        names = list(search.space)
        columns = min(COLUMNS, 1 + len(names))
        rows = math.ceil((1 + len(names)) / columns)
        figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        trials = [trial for trial in search.trials if trial["value"] is not None]
        _draw_history(panels[0], trials, search.score)
        for panel, name in zip(panels[1:], names, strict=False):
            _draw_option(panel, trials, name, search)
        for panel in panels[1 + len(names) :]:
            panel.set_axis_off()
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def _draw_history(panel: Any, trials: Sequence[Mapping[str, Any]], score: str) -> None:
    """Draw the value of each trial, and the best one so far."""
    for state, colour in COLOURS.items():
        points = [(trial["trial"], trial["value"]) for trial in trials if trial["state"] == state]
        if points:
            panel.scatter(*zip(*points, strict=True), s=16, color=colour, label=state)
    best, steps = math.inf, []
    for trial in trials:
        if trial["state"] == "complete":
            best = min(best, trial["value"])
            steps.append((trial["trial"], best))
    if steps:
        panel.step(*zip(*steps, strict=True), where="post", color=COLOURS["complete"], linewidth=1, label="best so far")
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set_xlabel("trial")
    panel.set_ylabel(score)
    if trials:
        panel.legend(fontsize=7)


def _draw_option(panel: Any, trials: Sequence[Mapping[str, Any]], name: str, search: Search) -> None:
    """Draw the values of the trials against one option."""
    with_option = [trial for trial in trials if name in trial["params"]]
    values = [trial["params"][name] for trial in with_option]
    are_choices = ".." not in search.space[name]
    if are_choices:
        ticks = list(dict.fromkeys(part.strip() for part in search.space[name].split(",")))
        values = [ticks.index(_as_typed(value, ticks)) for value in values]
        panel.set_xticks(range(len(ticks)), ticks)
        panel.set_xlim(-0.5, len(ticks) - 0.5)
    elif search.space[name].endswith(":log"):
        panel.set_xscale("log")
    colours = [COLOURS[trial["state"]] for trial in with_option]
    panel.scatter(values, [trial["value"] for trial in with_option], s=16, c=colours)
    panel.set_xlabel(name)


def _as_typed(value: object, ticks: Sequence[str]) -> str:
    """Return the choice that ``value`` was read from."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text in ticks:
        return text
    return next(tick for tick in ticks if tick.lower() == text.lower() or _is_number(tick, value))


def _is_number(text: str, value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and float(text) == float(value)
    except ValueError:
        return False
