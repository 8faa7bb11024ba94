"""A recipe: one ``seriatim train`` command with the band of its score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recipe:
    """One command with the band of its score."""

    name: str
    command: str
    """Arguments of ``seriatim``. {data} is the folder of the data sets, {work} the folder of converted files."""
    score: str
    band: tuple[float, float]
    hash: str
    """First eight characters of the data's hash."""
    prepare: Callable[[Path, Path], None] = lambda data, work: None
    published: str = ""
    """Published figures of the same score, with their source and protocol."""
