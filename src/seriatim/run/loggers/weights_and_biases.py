"""``--log wandb``: a run of Weights & Biases. Its own variables (``WANDB_PROJECT``, ``WANDB_MODE``) configure it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import wandb

from seriatim.run.loggers.protocol import Logger, numbers, store_id, stored_id, test_scores

PROJECT = "seriatim"


@final
class WeightsAndBiases(Logger):
    """Sends the rows to W&B, and the scores to the summary. A resumed training continues its run there."""

    def begin(self, folder: Path, settings: Mapping[str, object]) -> None:
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=folder.name,
            dir=str(folder),
            id=stored_id(folder, "wandb"),
            resume="allow",
            config=dict(settings),
        )
        store_id(folder, "wandb", self._run.id)

    def row(self, row: Mapping[str, float]) -> None:
        self._run.log(numbers(row), step=int(row["step"]))

    def end(self, result: Mapping[str, Any] | None) -> None:
        if result is not None:
            self._run.summary.update(test_scores(result))
        self._run.finish(exit_code=int(result is None))
