"""Options of the tasks that make one prediction for a whole sequence."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.options import option
from seriatim.tasks.options.train import TextOptions, text_unit


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(TextOptions):
    """Options of ``train classify`` and ``train regress``: the columns of the sequences, and how to read them."""

    unit: str = text_unit()
    batch_tokens: int = option(32768, "maximum number of steps per update, including padding", minimum=1)
    learner: str = option("bptt", "how gradients through time are computed", choices=("bptt",))
    text: str | None = option(None, "column of the text")
    sound: str | None = option(None, "column of paths of recordings: WAV or FLAC")
    channels: tuple[str, ...] = option((), "numeric columns, one row per step: a,b,c")
    id: str | None = option(None, "column that identifies each sequence, with --channels")
    time: str | None = option(None, "column by which the rows of a sequence are ordered (default: order of the file)")
    date_format: str | None = option(None, "format of the dates in --time, such as %d/%m/%Y, if it is ambiguous")
    group: str | None = option(None, "column whose equal values stay in the same part of the split")
    drop_duplicates: bool = option(False, "drop repeated inputs before splitting")
    header: bool = option(True, "the table has no header: columns are numbered from 1", negative="no-header")
    sample_rate: int | None = option(
        None,
        "sound: resample to this many samples per second (default: all recordings must have the same rate)",
        minimum=1,
    )
    frame: float = option(25.0, "sound: milliseconds per frame", above=0.0)
    hop: float = option(10.0, "sound: milliseconds between the starts of two frames", above=0.0)
    mels: int = option(40, "sound: number of frequency bands", minimum=1)
    pool: str = option("max", "how the states are pooled into one vector", choices=("last", "mean", "max"))
