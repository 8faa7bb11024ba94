"""Make the bundled set ``dates``: dates in free form, and the same dates in ISO 8601.

    python recipes/dates.py src/seriatim/data/sets/dates.tsv

Dates and formats are drawn with a pinned seed. Where words do not show the order of day and month, the month comes
first. No source text occurs twice.
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


FORMATS: tuple[Callable[[date], str], ...] = (
    lambda day: f"{MONTHS[day.month - 1]} {day.day}, {day.year}",
    lambda day: f"{day.day} {MONTHS[day.month - 1]} {day.year}",
    lambda day: f"the {ordinal(day.day)} of {MONTHS[day.month - 1]} {day.year}",
    lambda day: f"{DAYS[day.weekday()]}, {MONTHS[day.month - 1]} {day.day}, {day.year}",
    lambda day: f"{day.day} {MONTHS[day.month - 1][:3]} {day.year}",
    lambda day: f"{MONTHS[day.month - 1][:3]} {ordinal(day.day)}, {day.year}",
    lambda day: f"{day.month}/{day.day}/{day.year}",
    lambda day: f"{day.day:02}-{MONTHS[day.month - 1][:3].upper()}-{day.year}",
    lambda day: f"{day.year}, {MONTHS[day.month - 1]} {ordinal(day.day)}",
)


def main() -> None:
    """Write the set to the file of the command line."""
    generator = random.Random(0)
    pairs: dict[str, str] = {}
    while len(pairs) < PAIRS:
        day = FIRST + timedelta(generator.randrange((LAST - FIRST).days + 1))
        text = generator.choice(FORMATS)(day)
        pairs[generator.choice((text, text, text.lower()))] = day.isoformat()
    lines = "".join(f"{source}\t{target}\n" for source, target in pairs.items())
    Path(sys.argv[1]).write_text("source\ttarget\n" + lines, encoding="utf-8")


if __name__ == "__main__":
    main()
