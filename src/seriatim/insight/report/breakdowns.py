"""Scores by groups in the report: a table with a bar and two standard errors for each group."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from seriatim.insight.breakdown import Breakdown
from seriatim.insight.report.blocks import section


def breakdowns(items: Sequence[Breakdown]) -> str:
    """Return the section; empty without breakdowns."""
    tables = "".join(_table(item) for item in items if len(item.groups) > 1)
    if not tables:
        return ""
    note = '<p class="soft">Means over the rows of each group, ± 2 standard errors. A bar begins at zero.</p>'
    return section("Where the errors are", note, f'<div class="two">{tables}</div>')


def _table(item: Breakdown) -> str:
    largest = max((abs(group.mean) for group in item.groups), default=0.0) or 1.0
    rows = "".join(
        f"<tr><td>{escape(group.name)}</td><td class=number>{group.count:,}</td>"
        f"<td class=number>{group.mean:.3g} ± {2 * group.error:.2g}</td>"
        f'<td class="meter"><span style="width:{abs(group.mean) / largest:.0%}"></span></td></tr>'
        for group in item.groups
    )
    head = "<tr><th>group</th><th class=number>rows</th><th class=number>mean</th><th></th></tr>"
    title = escape(item.title[:1].upper() + item.title[1:])
    return f'<div><h3>{title}</h3><div class="scroll"><table>{head}{rows}</table></div></div>'
