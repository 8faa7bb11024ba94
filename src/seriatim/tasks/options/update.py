"""Options of ``update``, whatever the task."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.options import duration, option


@dataclass(frozen=True, kw_only=True)
class UpdateOptions:
    """Options of further training with new data. The defaults are the values of the first training."""

    replay: float = option(
        0.0, "amount of old training data to mix in, relative to the new data: 0.5 is one old to two new", minimum=0.0
    )
    epochs: int | None = option(None, "passes over the new data (default: as in the first training)", minimum=1)
    time_limit: float | None = option(
        None, "stop after this time: 90s, 10m, 2h (default: as in the first training)", above=0.0, parse=duration
    )
    lr: float | None = option(None, "initial learning rate (default: as in the first training)", above=0.0, below=1e10)
    out: str | None = option(None, "folder for the updated run; RUN is then not changed")
    threads: int | None = option(None, "CPU threads (default: as in the first training)", minimum=1)
    quiet: bool = option(False, "no progress")
