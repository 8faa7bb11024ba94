"""Options of the tasks that say one thing of a whole sequence."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.options import option
from seriatim.tasks.options.train import TextOptions


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(TextOptions):
    """Options of ``train classify`` and ``train regress``: where the sequences are, and how they are read."""

    batch_tokens: int = option(32768, "steps per update at most, padding counted", minimum=1)
    learner: str = option("bptt", "gradient through time", choices=("bptt",))
    text: str | None = option(None, "column of the text")
    sound: str | None = option(None, "column of paths of recordings: WAV or FLAC")
    channels: tuple[str, ...] = option((), "numeric columns, one row per step: a,b,c")
    id: str | None = option(None, "column that tells sequences apart, with --channels")
    time: str | None = option(None, "column to order a sequence's rows by (default: as they stand)")
    group: str | None = option(None, "column whose equal values stay on one side of the split")
    drop_duplicates: bool = option(False, "drop repeated inputs before splitting")
    header: bool = option(True, "columns are numbers from 1", negative="no-header")
    sample_rate: int | None = option(
        None, "sound: resample to so many samples per second (default: all must have the same)", minimum=1
    )
    frame: float = option(25.0, "sound: milliseconds per frame", above=0.0)
    hop: float = option(10.0, "sound: milliseconds from one frame to the next", above=0.0)
    mels: int = option(40, "sound: frequency bands", minimum=1)
    pool: str = option("max", "how the states become one vector", choices=("last", "mean", "max"))
