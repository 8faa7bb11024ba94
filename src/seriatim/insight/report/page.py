"""The page of an inspection."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from seriatim.insight.checks.check import Check
from seriatim.insight.evidence import Evidence
from seriatim.insight.report import sections
from seriatim.insight.report.alignments import alignments
from seriatim.insight.report.breakdowns import breakdowns
from seriatim.insight.report.style import STYLE


def render(title: str, evidence: Evidence, checks: Sequence[Check], verdict: str) -> str:
    """Return the whole page as HTML: it has no scripts and loads nothing."""
    counts = {status: sum(check.status == status for check in checks) for status in ("fault", "warning", "ok")}
    summary = ", ".join(
        f"{count} {status}{'s' if count != 1 and status != 'ok' else ''}" for status, count in counts.items()
    )
    body = "".join(
        (
            sections.horizons(evidence),
            sections.checks(checks),
            sections.layers(evidence),
            sections.attributions(evidence.samples, evidence.features),
            alignments(evidence.alignments),
            sections.training(evidence),
            breakdowns(evidence.breakdowns),
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>"
        f'<p class="verdict">{escape(_sentence(verdict))}</p>'
        f'<p class="soft">{escape(evidence.task)}, {escape(evidence.model)} · checks: {summary}</p>'
        f"{body}</body></html>\n"
    )


def _sentence(verdict: str) -> str:
    return f"{verdict[:1].upper()}{verdict[1:]}."
