"""Make the bundled set ``dates``: days as people write them, and the same in ISO 8601.

    python recipes/dates.py src/seriatim/data/sets/dates.tsv

Every day and every way of writing is drawn with a pinned seed; where the order of day and month is not told by words,
the month stands first. No source stands twice.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

PAIRS = 7000
FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def ordinal(day: int) -> str:
    """1st, 2nd, 3rd, 4th, …"""
    ending = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


WAYS: tuple[Callable[[date], str], ...] = (
    lambda one: f"{MONTHS[one.month - 1]} {one.day}, {one.year}",
    lambda one: f"{one.day} {MONTHS[one.month - 1]} {one.year}",
    lambda one: f"the {ordinal(one.day)} of {MONTHS[one.month - 1]} {one.year}",
    lambda one: f"{DAYS[one.weekday()]}, {MONTHS[one.month - 1]} {one.day}, {one.year}",
    lambda one: f"{one.day} {MONTHS[one.month - 1][:3]} {one.year}",
    lambda one: f"{MONTHS[one.month - 1][:3]} {ordinal(one.day)}, {one.year}",
    lambda one: f"{one.month}/{one.day}/{one.year}",
    lambda one: f"{one.day:02}-{MONTHS[one.month - 1][:3].upper()}-{one.year}",
    lambda one: f"{one.year}, {MONTHS[one.month - 1]} {ordinal(one.day)}",
)


def main() -> None:
    """Write the set to the file that was named."""
    draw = random.Random(0)
    pairs: dict[str, str] = {}
    while len(pairs) < PAIRS:
        day = FIRST + timedelta(draw.randrange((LAST - FIRST).days + 1))
        text = draw.choice(WAYS)(day)
        pairs[draw.choice((text, text, text.lower()))] = day.isoformat()
    lines = "".join(f"{source}\t{target}\n" for source, target in pairs.items())
    Path(sys.argv[1]).write_text("source\ttarget\n" + lines, encoding="utf-8")


if __name__ == "__main__":
    main()
