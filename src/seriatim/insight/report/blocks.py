"""The blocks of the page: sections, figures and tables as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table(head: Sequence[str], rows: Sequence[Sequence[str]], strong: int | None = None) -> str:
    """A table, with the row number ``strong`` in bold; all columns but the first are numbers."""

    def line(values: Sequence[str], tag: str) -> str:
        opened = [f"<{tag}{' class=number' if place else ''}>" for place in range(len(values))]
        parts = (f"{start}{escape(value)}</{tag}>" for start, value in zip(opened, values, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    body = "".join(line(row, "th" if number == strong else "td") for number, row in enumerate(rows))
    return f'<div class="scroll"><table>{line(head, "th")}{body}</table></div>'


def figure(drawing: str, caption: str) -> str:
    """A drawing with its caption."""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def section(title: str, *parts: str) -> str:
    """A section with its heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"
