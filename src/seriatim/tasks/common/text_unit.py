"""The unit in which a task reads its texts: the one of ``--unit``, or with ``auto`` the one that fits the texts."""

from __future__ import annotations

from collections.abc import Sequence

from seriatim.encoding.unit_choice import AUTO, choose_unit
from seriatim.tasks.options import TextOptions

MAX_TEXTS = 20_000
"""The choice looks at no more texts than these, evenly spaced."""
UNIT_NAMES = {"bpe": "byte pairs", "char": "characters"}


def unit_of(options: TextOptions, texts: Sequence[str]) -> str:
    """Return the unit for the ``texts`` of the training part."""
    if options.unit != AUTO:
        return options.unit
    return "word" if options.vectors else choose_unit(_sample(texts))[0]


def unit_notes(options: TextOptions, unit: str, texts: Sequence[str], name: str = "texts") -> tuple[str, ...]:
    """Return a note with the reason, if another ``unit`` than words was chosen for the ``texts``."""
    if options.unit != AUTO or unit == "word":
        return ()
    chosen, reason = choose_unit(_sample(texts))
    if chosen != unit:  # the unit of an earlier training is used for new texts
        return ()
    return (f"{name}: read in {UNIT_NAMES[unit]}, because {reason}; --unit sets another unit",)


def _sample(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: max(1, -(-len(texts) // MAX_TEXTS))]
