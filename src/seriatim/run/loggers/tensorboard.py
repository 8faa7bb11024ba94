"""``--log tensorboard``: event files in the run folder, for ``tensorboard --logdir runs``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from torch.utils.tensorboard.summary import hparams
from torch.utils.tensorboard.writer import SummaryWriter

from seriatim.run.loggers.protocol import Logger, numbers, test_scores


@final
class TensorBoard(Logger):
    """Writes ``RUN/tensorboard``: a curve of each number of the rows, and the scores beside the options (HPARAMS)."""

    def begin(self, folder: Path, settings: Mapping[str, object]) -> None:
        self._settings = {
            name: value if isinstance(value, (bool, int, float, str)) else str(value)
            for name, value in settings.items()
        }
        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def row(self, row: Mapping[str, float]) -> None:
        for name, value in numbers(row).items():
            self._writer.add_scalar(name, value, int(row["step"]))
        self._writer.flush()

    def end(self, result: Mapping[str, Any] | None) -> None:
        if result is not None:
            scores = test_scores(result)
            file_writer: Any = self._writer.file_writer
            for summary in hparams(self._settings, scores):  # type: ignore[no-untyped-call]
                file_writer.add_summary(summary)
            for name, value in scores.items():
                self._writer.add_scalar(name, value)
        self._writer.close()
