"""Options of the tasks that make one prediction for a whole sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seriatim.options import option
from seriatim.tasks.options.subwords import SubwordOptions
from seriatim.tasks.options.train import text_unit

UNHEARD_SPEAKER_DEFAULTS: Mapping[str, object] = {"normalize": "speech", "augment": True, "mels": 20}
"""Defaults for recordings with ``--group``, which keeps a speaker in one part. They suit the speech of people whom the
training part lacks. They remove the mean spectrum, by which other sounds, such as those of machines, are recognised."""


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(SubwordOptions):
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
    mels: int = option(40, "sound: number of frequency bands (default: 40; 20 with --group)", minimum=1)
    normalize: str = option(
        "training",
        "sound: scale each frequency band by its mean and deviation in the training part, or in the recording; or for "
        "speech: cut quiet ends, limit quiet values, and subtract each band's mean (default: training; speech with "
        "--group)",
        choices=("training", "recording", "speech"),
    )
    augment: bool = option(
        False,
        "sound: change each recording at random in training: speed, voice, noise, masks (Park 2019; default with "
        "--group)",
        negatable=True,
    )
    word_dropout: float = option(
        0.0, "texts: probability that training reads a unit as unknown (Iyyer 2015)", minimum=0.0, below=1.0
    )
    pool: str = option("max", "how the states are pooled into one vector", choices=("last", "mean", "max"))
