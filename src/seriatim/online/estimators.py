"""``OnlineClassifier`` and ``OnlineRegressor``, recurrent networks that learn a stream step by step.

One call of ``learn_one`` is one step of the stream. Only this call moves the state. ``predict_one`` looks one step
ahead of the current state and changes nothing, however often it is called.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, final

import numpy as np

from seriatim.errors import DataError
from seriatim.online.base import Online
from seriatim.online.conventions import Classifier, Regressor
from seriatim.online.scaling import RecentMoments
from seriatim.online.values import MAX_NUMBER, label_of, number_of


@final
class OnlineClassifier(Online, Classifier):
    """A recurrent classifier that learns one step at a time. New features and classes may appear at any time.

    ``__init__`` lists the options. A class is a string, a whole number or a truth value.

    >>> from seriatim.online import OnlineClassifier
    >>> model = OnlineClassifier(model="gru", hidden=8, lr=0.02)
    >>> for step in range(200):
    ...     model.learn_one({"value": step % 4}, "last" if step % 4 == 3 else "other")
    >>> [model.predict_one({"value": value}) for value in (0, 3)]
    ['other', 'last']
    """

    classes = True

    def _forget_targets(self) -> None:
        self._labels: list[Hashable] = []

    def _outputs(self) -> int:
        return len(self._labels)

    def _targets_to_json(self) -> dict[str, Any]:
        return {"labels": self._labels}

    def _targets_from_json(self, content: Mapping[str, Any]) -> None:
        self._labels = list(content["labels"])

    def learn_one(self, x: Mapping[Any, Any], y: Hashable) -> None:
        """Learn one step with features ``x`` and class ``y``.

        Raises ``DataError``, and changes nothing, for a feature that is no number or too large, or a class of another
        type.

        >>> model = OnlineClassifier(hidden=4)
        >>> model.learn_one({"temperature": 21.5, "open": True}, "warm")
        >>> model.predict_one({"temperature": 20.0})
        'warm'
        """
        label = label_of(y)
        numbers = self._numbers(x)
        if label not in self._labels:
            self._labels.append(label)
        self._learn(numbers, self._labels.index(label), {("y", label): 1.0})

    def predict_proba_one(self, x: Mapping[Any, Any]) -> dict[Hashable, float]:
        """Return the probability of each known class if ``x`` were the next step. Nothing changes.

        >>> OnlineClassifier().predict_proba_one({"a": 1.0})
        {}
        """
        outputs = self._predict(x)
        if not len(outputs):
            return {}
        shares = np.exp(outputs - outputs.max())
        return dict(zip(self._labels, (shares / shares.sum()).tolist(), strict=True))

    def predict_one(self, x: Mapping[Any, Any]) -> Hashable | None:
        """Return the likeliest class if ``x`` were the next step; None before the first step. Nothing changes.

        >>> OnlineClassifier().predict_one({"a": 1.0}) is None
        True
        """
        outputs = self._predict(x)
        return self._labels[int(outputs.argmax())] if len(outputs) else None


@final
class OnlineRegressor(Online, Regressor):
    """A recurrent regression that learns one step at a time. New features may appear at any time.

    ``__init__`` lists the options. The network learns targets that are scaled by their recent mean and deviation.

    >>> from seriatim.online import OnlineRegressor
    >>> model = OnlineRegressor(model="gru", hidden=8, lr=0.02)
    >>> for step in range(200):
    ...     model.learn_one({"value": step % 4}, 10.0 * (step % 4))
    >>> bool(abs(model.predict_one({"value": 0})) < 5.0)
    True
    """

    classes = False

    def _forget_targets(self) -> None:
        self._targets = RecentMoments()

    def _outputs(self) -> int:
        return 1

    def _targets_to_json(self) -> dict[str, Any]:
        return {"targets": self._targets.statistics()}

    def _targets_from_json(self, content: Mapping[str, Any]) -> None:
        statistics = content["targets"]
        self._targets = RecentMoments.of(list(statistics.values()) if isinstance(statistics, dict) else statistics)

    def learn_one(self, x: Mapping[Any, Any], y: float) -> None:
        """Learn one step with features ``x`` and target ``y``.

        Raises ``DataError``, and changes nothing, for a feature or a target that is no number or too large.

        >>> model = OnlineRegressor(hidden=4)
        >>> model.learn_one({"speed": 3.0}, 7.5)
        >>> model.predict_one({"speed": 3.0})
        7.5
        """
        numbers, target = self._numbers(x), number_of("the target", y, MAX_NUMBER)
        if target is None:
            raise DataError("the target is missing, wanted a number")
        standard = self._targets.standard(target)
        self._learn(numbers, standard, {("y", ""): standard})
        self._targets.add(target)

    def predict_one(self, x: Mapping[Any, Any]) -> float:
        """Return the expected target if ``x`` were the next step; 0 before the first step. Nothing changes.

        >>> OnlineRegressor().predict_one({"speed": 3.0})
        0.0
        """
        outputs = self._predict(x)
        return self._targets.unscale(float(outputs[0])) if len(outputs) else 0.0
