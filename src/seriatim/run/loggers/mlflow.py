"""``--log mlflow``: a run of MLflow.

MLflow's own variables (``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME``) configure it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import mlflow
from mlflow.entities import Metric, Param

from seriatim.run.loggers.protocol import Logger, numbers, store_id, stored_id, test_scores

EXPERIMENT = "seriatim"


@final
class MLflow(Logger):
    """Sends the options, the rows and the scores to MLflow: to the active run, if there is one, or to a new one."""

    def begin(self, folder: Path, settings: Mapping[str, object]) -> None:
        self._client = mlflow.MlflowClient()
        active = mlflow.active_run()
        self._is_own = active is None
        self.id = active.info.run_id if active is not None else known_run(folder)
        if self.id is None:
            run = self._client.create_run(_experiment(self._client), run_name=folder.name)
            self.id = run.info.run_id
        store_id(folder, "mlflow", self.id)
        parameters = [Param(name, str(value)) for name, value in settings.items()]
        self._client.log_batch(self.id, params=parameters)

    def row(self, row: Mapping[str, float]) -> None:
        self._log(numbers(row), int(row["step"]))

    def end(self, result: Mapping[str, Any] | None) -> None:
        if result is not None:
            self._log(test_scores(result), 0)
        if self._is_own:
            self._client.set_terminated(self.id, "FINISHED" if result is not None else "FAILED")

    def _log(self, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        self._client.log_batch(self.id, metrics=[Metric(name, value, now, step) for name, value in values.items()])


def known_run(folder: Path) -> str | None:
    """Return the id under which a run was logged before, or None if this MLflow does not know it."""
    id = stored_id(folder, "mlflow")
    try:
        return None if id is None else str(mlflow.MlflowClient().get_run(id).info.run_id)
    except mlflow.exceptions.MlflowException:
        return None


def _experiment(client: Any) -> str:
    """Return the id of the experiment that the environment names, or of ``seriatim``; it is made if missing."""
    id = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if id:
        return id
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    experiment = client.get_experiment_by_name(name)
    return str(experiment.experiment_id if experiment is not None else client.create_experiment(name))
