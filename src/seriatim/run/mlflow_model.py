"""``Run.log_mlflow``: a finished run in MLflow, with its options, rows and scores, and as a model to serve."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import mlflow

from seriatim.run.described import DescribedRun
from seriatim.run.folder import ONLY_FOR_TRAINING
from seriatim.run.inspection.inspect import read_rows
from seriatim.run.loggers.logging import settings_of
from seriatim.run.loggers.mlflow import MLflow, known_run
from seriatim.run.model_input import example_of, predict_frame
from seriatim.version import __version__

CODE = Path(__file__).with_name("pyfunc_model.py")


def log_mlflow(
    run: DescribedRun, source: str | None, name: str, example: Any, registered_model_name: str | None
) -> str:
    """Log ``run`` to MLflow and return the URI of its model; see ``Run.log_mlflow``."""
    example = example_of(run, source) if example is None else example
    signature = mlflow.models.infer_signature(example, predict_frame(run, example))
    rows, result = read_rows(run.path / "metrics.jsonl"), run.result
    is_logged = known_run(run.path) is not None
    logger = MLflow()
    logger.begin(run.path, {"task": run.task, **settings_of(run.options)})
    if not is_logged:
        for row in rows:
            logger.row(row)
        logger.end(result)
    with tempfile.TemporaryDirectory() as folder, _running(logger.id):
        copy = Path(folder) / "run"
        shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns(*ONLY_FOR_TRAINING))
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(CODE),
            artifacts={"run": str(copy)},
            signature=signature,
            input_example=example,
            pip_requirements=[f"seriatim[train]=={__version__}", f"mlflow=={mlflow.__version__}"],
            registered_model_name=registered_model_name,
        )
    return str(logged.model_uri)


def _running(id: str | None) -> Any:
    """Return a context in which the run ``id`` is MLflow's active run."""
    active = mlflow.active_run()
    is_active = active is not None and active.info.run_id == id
    return nullcontext() if is_active else mlflow.start_run(run_id=id)
