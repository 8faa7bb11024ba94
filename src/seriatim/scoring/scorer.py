"""A model that predicts for frames: a run, or an exported model, which needs no PyTorch."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from seriatim.errors import UsageError

if TYPE_CHECKING:
    import polars

    from seriatim.run import Run
    from seriatim.runtime.model import Model

Row = dict[str, Any]

TASKS = ("classify", "regress", "translate", "forecast")
"""Tasks that read tables with one sequence in each row, or with the steps of a sequence in consecutive rows."""
INPUT_OPTIONS = ("text", "channels", "id", "time", "source")
"""Options that name the columns to read. ``target`` and ``covariates`` are read by forecasters alone."""


class Scorer(ABC):
    """A model, as far as a partition needs it."""

    task: str
    hash: str
    """SHA-256 of the model's files."""
    columns: Mapping[str, Any]
    """The columns of the training by the names of the options; empty after a training on data in memory."""
    predicts_steps: bool = False
    """Whether each row of the file has a prediction of its own, although a sequence has several rows."""

    @abstractmethod
    def predict(self, frame: polars.DataFrame) -> Iterator[Row]:
        """Yield the rows of ``predict`` for the rows of a frame."""

    @abstractmethod
    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield the rows of a table that represent ``row``."""

    @property
    def input_columns(self) -> list[str]:
        """The columns to read; empty if all of them are read."""
        names = (*INPUT_OPTIONS, *(("target", "covariates") if self.task == "forecast" else ()))
        values = [self.columns.get(name) or () for name in names]
        return list(dict.fromkeys(name for value in values for name in ((value,) if isinstance(value, str) else value)))

    @property
    def id(self) -> str | None:
        """The column that says to which sequence a row belongs. None if each row is a sequence."""
        return self.columns.get("id") if self.task == "forecast" or self.columns.get("channels") else None

    @property
    def is_single_sequence(self) -> bool:
        """Whether all rows of a file are steps of the same series."""
        return self.task == "forecast" and self.id is None


@final
class RunScorer(Scorer):
    """A run folder."""

    def __init__(self, run: Run, use: str | None) -> None:
        options = run.options
        self._run, self._use, self.task = run, use, run.task
        names = (*INPUT_OPTIONS, "sound", "target", "covariates")
        self.columns = {name: value for name in names if (value := getattr(options, name, None))}
        self.predicts_steps = bool(getattr(options, "every_step", False))
        self.hash = hash_of_run(run.path)

    def predict(self, frame: polars.DataFrame) -> Iterator[Row]:
        import torch

        from seriatim.run.model_input import source_of

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # The workers share the processors.
        try:
            yield from self._run.predict(source_of(self._run, frame), use=self._use)
        finally:
            torch.set_num_threads(threads)

    def csv_rows(self, row: Row) -> Iterator[Row]:
        return self._run.csv_rows(row)


@final
class RuntimeScorer(Scorer):
    """A runtime folder."""

    def __init__(self, model: Model) -> None:
        self._model, self.task, self.columns = model, model.task, model.columns
        self.predicts_steps = bool(getattr(model, "every_step", False))
        self.hash = f"sha256:{model.hash}"

    def predict(self, frame: polars.DataFrame) -> Iterator[Row]:
        from seriatim.runtime.reading import rows_of_table

        return self._model.predict(rows_of_table(self._model, "data", frame.to_dicts()))

    def csv_rows(self, row: Row) -> Iterator[Row]:
        return self._model.csv_rows(row)


def open_scorer(path: str | Path, use: str | None = None) -> Scorer:
    """Open the run folder or the runtime folder at ``path``.

    Raises ``RunError`` for a folder that is missing or damaged, and ``UsageError`` for a model that reads no tables.
    """
    from seriatim.runtime.loading import is_runtime_folder, load

    scorer: Scorer
    if is_runtime_folder(path):
        if use is not None:
            raise UsageError("use: for run folders; an exported model has the model of its export")
        scorer = RuntimeScorer(load(path))
    else:
        from seriatim.run import load as load_run
        from seriatim.run.opened import Opened

        if use is not None:
            Opened(Path(path)).member_in_use(use)  # refuses a name that the run does not have
        scorer = RunScorer(load_run(path), use)
    if scorer.task not in TASKS:
        raise UsageError(f"model: {path} is a {scorer.task} model; wanted one of {', '.join(TASKS)}, which read tables")
    if scorer.columns.get("sound"):
        raise UsageError(f"model: {path} reads recordings, which no table contains; call predict for them")
    return scorer


def hash_of_run(path: Path) -> str:
    """Return the hash of the files that decide the predictions of a run."""
    digest = hashlib.sha256()
    patterns = ("*.json", "*.safetensors", "baselines/*.safetensors", "members/*/*.safetensors")
    files = [file for pattern in patterns for file in path.glob(pattern)]
    for file in sorted(files):
        digest.update(f"{file.relative_to(path).as_posix()} {file.stat().st_size};".encode())
        digest.update(file.read_bytes())
    return f"sha256:{digest.hexdigest()}"
