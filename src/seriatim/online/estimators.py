"""``OnlineClassifier`` and ``OnlineRegressor``: a recurrent network that learns a stream step by step.

One step of a stream is one call of ``learn_one``: it alone moves the state. ``predict_one`` looks one step ahead from
where the stream stands and changes nothing, however often it is called.
"""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, UsageError
from seriatim.learning.options import LearningOptions, truncation_of
from seriatim.models.options import CELLS, ModelOptions
from seriatim.online import storage
from seriatim.online.conventions import Classifier, Regressor
from seriatim.online.live import Live, Vector
from seriatim.online.scaling import Moments, RunningScaler
from seriatim.options import fill

if TYPE_CHECKING:
    from typing_extensions import Self

Slot: TypeAlias = "tuple[str, Hashable]"

LEARNERS = ("tbptt", "rtrl", "snap1", "uoro")
"""Those that need no end of a sequence."""
WINDOW = 16
"""k2 of truncated BPTT, unless asked otherwise."""


class Online:
    """What a classifier and a regressor share."""

    classes: bool

    def __init__(
        self,
        model: str = "gru",
        hidden: int = 32,
        layers: int = 1,
        learner: str = "tbptt",
        truncation: int | tuple[int, ...] | None = None,
        optimizer: str = "adam",
        lr: float = 3e-3,
        clip: float = 1.0,
        feedback: bool = True,
        standardize: bool = True,
        seed: int = 0,
    ) -> None:
        """Nothing is made before the first step.

        Parameters
        ----------
        model
            ``rnn``, ``lstm``, ``gru``, … as in ``seriatim train --model``.
        hidden
            Units per layer.
        layers
            Stacked layers.
        learner
            ``tbptt``, ``rtrl``, ``snap1`` or ``uoro``.
        truncation
            (k1, k2): an update every k1 steps, by a gradient that goes k2 steps back (k2: ``tbptt`` only); one number
            is both. None: (1, 16), and 1 for the other learners.
        optimizer
            ``adam``, ``adamw`` or ``sgd``.
        lr
            Learning rate.
        clip
            The global norm that a gradient is clipped to; 0 is off.
        feedback
            Whether a step also reads the target of the step before, as ``learn_one`` was given it.
        standardize
            Whether features are put in running deviations from their running means.
        seed
            Of the first weights, and of the draws of ``uoro``.

        Raises ``UsageError`` for an option that does not exist or does not fit.

        """
        self.model, self.hidden, self.layers = model, hidden, layers
        self.learner, self.truncation = learner, truncation
        self.optimizer, self.lr, self.clip = optimizer, lr, clip
        self.feedback, self.standardize, self.seed = feedback, standardize, seed
        self.options()
        self.live: Live | None = None
        self.slots: dict[Slot, int] = {}
        """The input that ("x", a feature) or ("y", what the target before was) goes to."""
        self.scaler = RunningScaler()
        self.before: dict[Slot, float] = {}
        """What the next step reads of the target of this one."""
        self._begin()

    def options(self) -> tuple[ModelOptions, LearningOptions]:
        """The options, checked."""
        if self.model not in CELLS:
            raise UsageError(f"model: got '{self.model}', wanted one that carries a state: {', '.join(CELLS)}")
        if self.learner not in LEARNERS:
            some = ", ".join(LEARNERS)
            raise UsageError(f"learner: got '{self.learner}', wanted one for streams without an end: {some}")
        steps = self.truncation if self.truncation is not None else (1, WINDOW) if self.learner == "tbptt" else 1
        network = fill(ModelOptions, {"model": self.model, "hidden": self.hidden, "layers": self.layers})
        asked = {
            "learner": self.learner, "truncation": steps, "optimizer": self.optimizer, "lr": self.lr, "clip": self.clip,
            "seed": self.seed,
        }  # fmt: skip
        learning = fill(LearningOptions, asked)
        truncation_of(learning)
        return network, learning

    @property
    def _multiclass(self) -> bool:
        return True

    @abstractmethod
    def _begin(self) -> None:
        """Know nothing of the targets yet."""

    @abstractmethod
    def _outputs(self) -> int:
        """How many outputs the network has by now."""

    @abstractmethod
    def stored(self) -> dict[str, Any]:
        """What is known of the targets, as JSON."""

    @abstractmethod
    def restore(self, found: Mapping[str, Any]) -> None:
        """The opposite of ``stored``."""

    def _predicted(self, x: Mapping[Any, Any]) -> NDArray[np.float64]:
        """What the network says of ``x`` as the next step; nothing before the first."""
        return self.live.outputs(self._vector(_numbers(x))) if self.live else np.zeros(0)

    def _learn(self, numbers: dict[Hashable, float], target: float, told: dict[Slot, float]) -> None:
        """Go a step on; ``told`` is what the next step is to read of the target."""
        if self.live is None:
            self.live = Live(*self.options(), 0 if self.classes else 1, classes=self.classes)
        self.live.answer_more(self._outputs() - len(self.live.network.head.bias))
        self.make_room(("x", name) for name in numbers)
        self.live.learn(self._vector(numbers), target)
        for name, value in numbers.items() if self.standardize else ():
            self.scaler.add(name, value)
        if self.feedback:
            self.make_room(told)
            self.before = told

    def make_room(self, wanted: Iterable[Slot]) -> None:
        """Give each new input a place, in an order that is not that of the dict."""
        new = sorted((one for one in wanted if one not in self.slots), key=repr)
        for one in new:
            self.slots[one] = len(self.slots)
        if new:
            assert self.live is not None
            self.live.widen(len(new))

    def _vector(self, numbers: dict[Hashable, float]) -> Vector:
        """What the network reads: 0 for a feature that is not there, or never was."""
        vector = np.zeros(len(self.slots), np.float32)
        for name, value in numbers.items():
            slot = self.slots.get(("x", name))
            if slot is not None:
                vector[slot] = self.scaler.standard(name, value) if self.standardize else value
        for key, value in self.before.items():
            vector[self.slots[key]] = value
        return vector

    def save(self, path: str | Path) -> None:
        """Write everything to one safetensors file, whole or not at all: ``load`` goes on from it bit for bit.

        Raises ``UsageError`` for features or classes whose names JSON has no word for.
        """
        storage.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Open what ``save`` wrote. Raises ``RunError`` when it is damaged or something else."""
        return storage.load(cls, Path(path))


@final
class OnlineClassifier(Online, Classifier):
    """A recurrent classifier that learns one step at a time; features and classes may appear at any time.

    The options are those of ``__init__``. A class is a string, a whole number or a truth value.
    """

    classes = True

    def _begin(self) -> None:
        self._labels: list[Hashable] = []

    def _outputs(self) -> int:
        return len(self._labels)

    def stored(self) -> dict[str, Any]:
        return {"labels": self._labels}

    def restore(self, found: Mapping[str, Any]) -> None:
        self._labels = list(found["labels"])

    def learn_one(self, x: Mapping[Any, Any], y: Hashable) -> None:
        """Go one step on: ``x`` was there, and ``y`` was its class.

        Raises ``DataError`` for a feature that is no number, or a class that is none of the above.
        """
        label = _label(y)
        numbers = _numbers(x)
        if label not in self._labels:
            self._labels.append(label)
        self._learn(numbers, self._labels.index(label), {("y", label): 1.0})

    def predict_proba_one(self, x: Mapping[Any, Any]) -> dict[Hashable, float]:
        """The probability of each class seen so far, were ``x`` the next step; nothing changes."""
        outputs = self._predicted(x)
        if not len(outputs):
            return {}
        shares = np.exp(outputs - outputs.max())
        return dict(zip(self._labels, (shares / shares.sum()).tolist(), strict=True))

    def predict_one(self, x: Mapping[Any, Any]) -> Hashable | None:
        """The likeliest class, were ``x`` the next step; None before the first one."""
        outputs = self._predicted(x)
        return self._labels[int(outputs.argmax())] if len(outputs) else None


@final
class OnlineRegressor(Online, Regressor):
    """A recurrent regression that learns one step at a time; features may appear at any time.

    The options are those of ``__init__``. Targets are learned in running deviations from their running mean.
    """

    classes = False

    def _begin(self) -> None:
        self._targets = Moments()

    def _outputs(self) -> int:
        return 1

    def stored(self) -> dict[str, Any]:
        return {"targets": dataclasses.asdict(self._targets)}

    def restore(self, found: Mapping[str, Any]) -> None:
        self._targets = Moments(**found["targets"])

    def learn_one(self, x: Mapping[Any, Any], y: float) -> None:
        """Go one step on: ``x`` was there, and ``y`` was its target.

        Raises ``DataError`` for a feature or a target that is no number.
        """
        numbers, target = _numbers(x), _number("the target", y)
        if target is None:
            raise DataError("the target is missing, wanted a number")
        standard = self._targets.standard(target)
        self._learn(numbers, standard, {("y", ""): standard})
        self._targets.add(target)

    def predict_one(self, x: Mapping[Any, Any]) -> float:
        """What the target would be, were ``x`` the next step; 0 before the first one. Nothing changes."""
        outputs = self._predicted(x)
        return self._targets.back(float(outputs[0])) if len(outputs) else 0.0


def _numbers(x: Mapping[Any, Any]) -> dict[Hashable, float]:
    """The features that are there. Raises ``DataError`` for one that is no number."""
    found = ((name, _number(f"feature '{name}'", value)) for name, value in x.items())
    return {name: value for name, value in found if value is not None}


def _number(what: str, value: Any) -> float | None:
    """A number, or None where it is missing (None or NaN). Raises ``DataError``."""
    if value is None:
        return None
    if not isinstance(value, (int, float, np.number, np.bool_)):
        raise DataError(f"{what} is {value!r}, wanted a number (river's OneHotEncoder makes numbers of words)")
    number = float(value)
    if math.isinf(number):
        raise DataError(f"{what} is {value!r}, wanted a finite number")
    return None if math.isnan(number) else number


def _label(y: Hashable) -> Hashable:
    """A class as Python's own value. Raises ``DataError``."""
    label: Hashable = y.item() if isinstance(y, np.generic) else y
    if not isinstance(label, (str, int)):  # a bool is an int
        raise DataError(f"the class is {y!r}, wanted a string, a whole number or a truth value")
    return label
