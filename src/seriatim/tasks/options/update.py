"""Options of ``update``, whatever the task."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.options import duration, option


@dataclass(frozen=True, kw_only=True)
class UpdateOptions:
    """How a trained model goes on with new data. What is not given is as it was in the training."""

    replay: float = option(
        0.0, "old training data to mix in, as a share of the new: 0.5 is one old to two new", minimum=0.0
    )
    epochs: int | None = option(None, "passes over the new data (default: as in the training)", minimum=1)
    time_limit: float | None = option(
        None, "stop after this long: 90s, 10m, 2h (default: as in the training)", above=0.0, parse=duration
    )
    lr: float | None = option(None, "learning rate at the start (default: as in the training)", above=0.0, below=1e10)
    out: str | None = option(None, "write the updated run to this folder, and leave RUN alone")
    threads: int | None = option(None, "CPU threads (default: as in the training)", minimum=1)
    quiet: bool = option(False, "no progress")
