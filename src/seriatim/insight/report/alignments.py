"""Attention in the report: which units of a source, or regions of a picture, a text was written from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from seriatim.insight.alignment import Alignment
from seriatim.insight.report.blocks import section

CELL = 22
"""Pixels of a square."""
CHARACTER = 9
"""Pixels of a character of a label."""
LONGEST = 18
"""Characters of a label that are shown."""
UNITS = 60
"""Units of a source and of a text that are shown."""


def alignments(items: Sequence[Alignment]) -> str:
    """Return the section; empty for a model without attention."""
    if not items:
        return ""
    note = (
        '<p class="soft">Attention of each written unit (rows, from the top) to the source (columns, or regions of the '
        "picture): a full square is a weight of 1.</p>"
    )
    drawings = "".join(_regions(item) if item.side else _grid(item) for item in items)
    is_picture = any(item.side for item in items)
    return section(
        "What the text was written from", note, drawings if is_picture else f'<div class="alignments">{drawings}</div>'
    )


def _grid(item: Alignment) -> str:
    source, target = item.source[:UNITS], item.target[:UNITS]
    left, top = (CHARACTER * min(max(map(len, labels), default=1), LONGEST) + 14 for labels in (target, source))
    is_short = max(map(len, source), default=1) == 1
    top = 26 if is_short else top
    width, height = left + CELL * len(source) + 4, top + CELL * len(target) + 4
    parts = []
    for column, unit in enumerate(source):
        x = left + CELL * column + CELL // 2
        turned = "" if is_short else f' transform="rotate(-90 {x + 5} {top - 6})"'
        anchor = "middle" if is_short else "start"
        shift = 0 if is_short else 5
        parts.append(f'<text x="{x + shift}" y="{top - 6}" text-anchor="{anchor}"{turned}>{_label(unit)}</text>')
    for row, unit in enumerate(target):
        y = top + CELL * row
        parts.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{_label(unit)}</text>')
        parts.append(f'<rect class="frame" x="{left}" y="{y}" width="{CELL * len(source)}" height="{CELL}"/>')
        for column, weight in enumerate(item.weights[row][: len(source)]):
            parts.append(_square(left + CELL * column, y, weight))
    label = escape("attention of " + " ".join(target), quote=True)
    size = f'viewBox="0 0 {width} {height}" style="width:{width}px"'
    drawing = f'<svg class="alignment" {size} role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return f'<div class="scroll">{drawing}</div>'


def _regions(item: Alignment) -> str:
    """One small picture for each written unit."""
    size = CELL * item.side
    figures = []
    for unit, weights in zip(item.target[:UNITS], item.weights, strict=False):
        squares = "".join(
            _square(CELL * (place % item.side), CELL * (place // item.side), weight)
            for place, weight in enumerate(weights)
        )
        figures.append(
            f'<figure><svg class="alignment" viewBox="-1 -1 {size + 2} {size + 2}" role="img" '
            f'aria-label="{escape(unit, quote=True)}"><rect class="frame" x="0" y="0" width="{size}" height="{size}"/>'
            f"{squares}</svg><figcaption>{escape(unit)}</figcaption></figure>"
        )
    return f'<div class="regions">{"".join(figures)}</div>'


def _square(x: int, y: int, weight: float) -> str:
    """A square whose opacity is the weight."""
    if weight < 0.01:
        return ""
    return f'<rect class="bar c0" x="{x}" y="{y}" width="{CELL}" height="{CELL}" opacity="{min(weight, 1.0):.2f}"/>'


def _label(unit: str) -> str:
    return escape(unit if len(unit) <= LONGEST else f"{unit[: LONGEST - 1]}…")
