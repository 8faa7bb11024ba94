"""The data sets that come with the package. ``sets/LICENSES.md`` says where they are from and what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from seriatim.errors import UsageError, nearest


@dataclass(frozen=True)
class Bundled:
    """A set, and the options that train on it."""

    name: str
    task: str
    file: str
    licence: str
    source: str
    description: str
    options: Mapping[str, object]

    @property
    def path(self) -> Path:
        """Where the file is."""
        return Path(__file__).parent / "sets" / self.file


_SETS: Final = (
    Bundled(
        name="shakespeare",
        task="language",
        file="shakespeare.txt",
        licence="public domain (text), MIT (collection)",
        source="https://github.com/karpathy/char-rnn (data/tinyshakespeare)",
        description="1.1 MB of plays by William Shakespeare, 65 different characters",
        options=MappingProxyType({}),
    ),
    Bundled(
        name="sms_spam",
        task="classify",
        file="sms_spam.tsv",
        licence="CC BY 4.0",
        source="https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
        description="5,574 text messages, spam or ham (Almeida & Hidalgo 2011); 403 are repeated",
        options=MappingProxyType({"text": "text", "label": "label", "drop_duplicates": True}),
    ),
    Bundled(
        name="sunspots",
        task="forecast",
        file="sunspots.csv",
        licence="public domain",
        source="https://www.ngdc.noaa.gov/stp/solar/solarda3.html, by way of statsmodels",
        description="yearly sunspot activity, 1700 to 2008; a cycle takes about 11 years",
        options=MappingProxyType({"target": ("activity",), "time": "year", "season": 11, "horizon": 11}),
    ),
)


def bundled() -> tuple[Bundled, ...]:
    """Every bundled set."""
    return _SETS


def find(name: str) -> Bundled:
    """The set called ``name``. Raises ``UsageError`` when there is none, with the nearest."""
    for one in _SETS:
        if one.name == name:
            return one
    raise UsageError(f"no data set '{name}'{nearest(name, [one.name for one in _SETS])}")
