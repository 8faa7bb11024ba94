"""The run as a model of MLflow, which executes this file to load it: nothing is pickled."""

from __future__ import annotations

from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel

from seriatim.run import load
from seriatim.run.model_input import predict_frame


class SeriatimModel(PythonModel):  # type: ignore[misc]
    """Predicts for the rows of a frame, as ``Run.predict`` does."""

    def load_context(self, context: Any) -> None:
        """Open the run folder among the model's artefacts."""
        self.run = load(context.artifacts["run"])

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow reads type hints
        """Return a frame with the predictions for ``model_input``; the rows are those of a CSV file of ``predict``."""
        return predict_frame(self.run, model_input)


mlflow.models.set_model(SeriatimModel())
