"""The base of the estimators: it trains a run, keeps it, copies it and opens it again."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from seriatim.errors import UsageError
from seriatim.estimators.inputs import Sequences, read_inputs
from seriatim.estimators.stored_run import StoredRun
from seriatim.run import Run, load, train

if TYPE_CHECKING:
    from typing_extensions import Self

LARGEST_SEED = 2**32 - 1


class SequenceEstimator(BaseEstimator):  # type: ignore[misc]
    """An estimator that trains a run of one task."""

    task: ClassVar[str]
    """The task of ``seriatim.train``."""

    @property
    def run_(self) -> Run:
        """The run of the last ``fit``, with its scores. Raises ``NotFittedError`` before it."""
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments before "
                "using this estimator."
            )
        run: Run = self._stored.run
        return run

    def save(self, folder: str | Path) -> Run:
        """Copy the run folder to ``folder``, and return the copy as an ordinary run.

        Raises ``UsageError`` for a folder that is not empty.
        """
        target = Path(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"folder: '{target}' is not empty; give another one")
        shutil.copytree(self.run_.path, target, dirs_exist_ok=True)
        return load(target)

    @classmethod
    def from_run(cls, run: Run | str | Path) -> Self:
        """Make a fitted estimator of a run that was trained before, for example on the command line.

        Its parameters are the run's options. Raises ``UsageError`` for a run of another task.
        """
        opened = run if isinstance(run, Run) else load(run)
        if opened.task != cls.task:
            raise UsageError(f"run: {opened.path} is a {opened.task} run, and {cls.__name__} is for {cls.task}")
        names = cls._get_param_names()
        estimator = cls(**{name: value for name, value in vars(opened.options).items() if name in names})
        estimator.random_state = opened.options.seed
        estimator._stored = StoredRun(opened)
        estimator._describe_run(opened)
        return estimator

    def _describe_run(self, run: Run) -> None:
        """Set the attributes of a fitted estimator that follow from its run."""

    def _options(self) -> dict[str, Any]:
        """Return the options that were set, as ``seriatim.train`` takes them."""
        names = set(self._get_param_names()) - {"random_state", "verbose"}
        return {name: value for name in sorted(names) if (value := getattr(self, name)) is not None}

    def _train(self, data: object, **options: Any) -> Run:
        """Train a run in a temporary folder, and keep it."""
        chosen = {"baselines": "none", **self._options(), **options}
        folder = Path(tempfile.mkdtemp(prefix="seriatim-"))
        try:
            run = train(self.task, data, out=str(folder / "run"), seed=self._seed(), quiet=not self.verbose, **chosen)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._stored = StoredRun(run, folder)
        return run

    def _seed(self) -> int:
        state = self.random_state
        if state is None or isinstance(state, int):
            return state or 0
        return int(check_random_state(state).randint(LARGEST_SEED))

    def _predict_rows(self, X: Any) -> tuple[Sequences, list[dict[str, Any]]]:
        """Predict for ``X``: its form, and one row of values for each sequence."""
        run = self.run_
        inputs = read_inputs(self, X, self._options(), reset=False)
        return inputs, list(run.predict(inputs.source))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_stored")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags
