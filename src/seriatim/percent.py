"""How a share is written in messages and reports: with a space, as in the documents."""

from __future__ import annotations


def percent(share: float, digits: int = 0) -> str:
    """Return a share as text with so many digits after the point.

    >>> percent(0.05), percent(0.9444, 1)
    ('5 %', '94.4 %')
    """
    return f"{100 * share:.{digits}f} %"
