"""``SeriatimRegressor``: the task ``regress`` with scikit-learn's conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array

from seriatim.errors import ArgumentError
from seriatim.estimators.base import SequenceEstimator
from seriatim.estimators.inputs import read_pair
from seriatim.estimators.parameters import set_parameters, signature_of

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from seriatim.estimators.parameters import EstimatorKeywords

COLUMN = "_target"
"""The name that the targets get in a frame."""


class SeriatimRegressor(RegressorMixin, SequenceEstimator):  # type: ignore[misc]
    """Regressor of texts or numeric sequences, with quantiles: the task ``regress``.

    The parameters are the options of ``seriatim train regress --help``, with underscores. None means its default, but
    ``baselines`` is ``none`` by default. ``random_state`` is the seed. ``seriatim.estimators.inputs`` lists the
    forms of ``X``; the samples of a frame are its rows. Those of one ``id`` share a target, unless ``every_step`` gives
    each row its own, for which the rows of each ``id`` must be together and in order. ``fit`` uses 80 % of the data for
    the weights, 10 % to choose the best weights, and 10 % to score them (``run_.result``).

    >>> import numpy as np
    >>> from seriatim.estimators import SeriatimRegressor
    >>> sequences = [np.random.default_rng(n).normal(size=4 + n % 3) for n in range(40)]
    >>> regressor = SeriatimRegressor(model="gru", hidden=8, epochs=2)
    >>> regressor = regressor.fit(sequences, [values.sum() for values in sequences])
    >>> regressor.predict(sequences[:3]).shape, regressor.predict_quantiles(sequences[:3]).shape
    ((3,), (3, 3))
    """

    task: ClassVar[str] = "regress"

    def __init__(self, **options: Unpack[EstimatorKeywords]) -> None:
        set_parameters(self, options)

    __init__.__signature__ = signature_of("regress", ("target", "group"))  # type: ignore[attr-defined]

    def fit(self, X: Any, y: Any) -> Self:
        """Train on sequences ``X`` with targets ``y`` ``[N]``.

        Raises ``ValueError`` for data that do not fit, and as ``seriatim.train`` does.
        """
        self._check_rows(X)
        inputs, targets = read_pair(self, X, y, self._options())
        numbers = check_array(targets, ensure_2d=False, dtype=np.float64, input_name="y")
        target = {"target": COLUMN} if inputs.is_table else {}
        self._train(inputs.with_answers(numbers if not inputs.is_table else list(numbers), COLUMN), **target)
        return self

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the expected target of each sample, ``[N]``."""
        self._check_rows(X)
        inputs, rows = self._predict_rows(X)
        return inputs.spread(np.array([row["prediction"] for row in rows]))

    def predict_quantiles(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the 10, 50 and 90 % quantiles of each sample, ``[N, 3]``."""
        self._check_rows(X)
        inputs, rows = self._predict_rows(X)
        return inputs.spread(np.array([list(row["quantiles"].values()) for row in rows]))

    def _check_rows(self, X: Any) -> None:
        """With ``every_step``, refuse rows in another order than the predictions. Raises ``ArgumentError``."""
        if not self.every_step or not hasattr(X, "columns") or self.id not in list(X.columns):
            return
        if self.time is not None:
            raise ArgumentError("time: leave it out with every_step, and sort the frame by id and time instead")
        ids = list(X[self.id])
        starts = [value for index, value in enumerate(ids) if not index or value != ids[index - 1]]
        if len(starts) > len(set(starts)):
            raise ArgumentError(f"X: the rows of an id are not together in column '{self.id}'; sort the frame by it")
