"""The common part of the online estimators: options, network, inputs, and the file of ``save``."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import RunError, UsageError
from seriatim.learning.options import LearningOptions, truncation_of
from seriatim.models.options import CELLS, ModelOptions
from seriatim.online.live import LiveNetwork, Vector
from seriatim.online.scaling import RunningScaler
from seriatim.online.storage import Slot, Snapshot, damaged, read_snapshot, write_snapshot
from seriatim.online.values import MAX_NUMBER, MAX_RAW_NUMBER, number_of
from seriatim.options import fill

if TYPE_CHECKING:
    from typing_extensions import Self

LEARNERS = ("tbptt", "rtrl", "snap1", "uoro")
"""The learners that do not need the end of a sequence."""
DEFAULT_K2 = 16
"""k2 of truncated BPTT, if no truncation is given."""


class Online:
    """The common part of a classifier and a regressor."""

    classes: bool
    """Whether the targets are classes."""

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
        """Check the options. The network is made at the first step.

        Parameters
        ----------
        model
            The recurrent network: ``rnn``, ``lstm``, ``gru``, … as in ``seriatim train --model``.
        hidden
            Units per layer.
        layers
            Number of stacked layers.
        learner
            ``tbptt``, ``rtrl``, ``snap1`` or ``uoro``.
        truncation
            (k1, k2): an update every k1 steps, with a gradient through the last k2 steps (k2: ``tbptt`` only). One
            number is used for both. None: (1, 16), and 1 for the other learners.
        optimizer
            ``adam``, ``adamw`` or ``sgd``.
        lr
            Learning rate.
        clip
            The global norm that a gradient is clipped to; 0 turns clipping off.
        feedback
            If True, a step also reads the target of the step before it, as ``learn_one`` received it.
        standardize
            If True, features are scaled by their recent mean and deviation, and outliers are limited.
        seed
            The seed of the first weights, and of the random draws of ``uoro``.

        Raises ``UsageError`` for an option that does not exist or does not fit.

        """
        self.model, self.hidden, self.layers = model, hidden, layers
        self.learner, self.truncation = learner, truncation
        self.optimizer, self.lr, self.clip = optimizer, lr, clip
        self.feedback, self.standardize, self.seed = feedback, standardize, seed
        self._options()
        self._live: LiveNetwork | None = None
        self._slots: dict[Slot, int] = {}
        """The index of each input of the network."""
        self._scaler = RunningScaler()
        self._feedback: dict[Slot, float] = {}
        """The inputs that the next step gets from the last target."""
        self._forget_targets()

    def _options(self) -> tuple[ModelOptions, LearningOptions]:
        """Return the options of the network and of learning. Raises ``UsageError`` if they do not fit."""
        if self.model not in CELLS:
            raise UsageError(f"model: got '{self.model}', wanted one that carries a state: {', '.join(CELLS)}")
        if self.learner not in LEARNERS:
            learners = ", ".join(LEARNERS)
            raise UsageError(f"learner: got '{self.learner}', wanted one for streams without an end: {learners}")
        truncation = self.truncation
        if truncation is None:
            truncation = (1, DEFAULT_K2) if self.learner == "tbptt" else 1
        network = fill(ModelOptions, {"model": self.model, "hidden": self.hidden, "layers": self.layers})
        values = {
            "learner": self.learner, "truncation": truncation, "optimizer": self.optimizer, "lr": self.lr,
            "clip": self.clip, "seed": self.seed,
        }  # fmt: skip
        learning = fill(LearningOptions, values)
        truncation_of(learning)
        return network, learning

    @property
    def _multiclass(self) -> bool:
        return True

    @abstractmethod
    def _forget_targets(self) -> None:
        """Start with no knowledge of the targets."""

    @abstractmethod
    def _outputs(self) -> int:
        """Return the number of outputs that the network needs by now."""

    @abstractmethod
    def _targets_to_json(self) -> dict[str, Any]:
        """Return what is known of the targets, as JSON values."""

    @abstractmethod
    def _targets_from_json(self, content: Mapping[str, Any]) -> None:
        """Restore the result of ``_targets_to_json``."""

    def _predict(self, x: Mapping[Any, Any]) -> NDArray[np.float64]:
        """Return the outputs of the network for ``x`` as the next step; nothing before the first step."""
        return self._live.outputs(self._vector(self._numbers(x))) if self._live else np.zeros(0)

    def _learn(self, numbers: dict[Hashable, float], target: float, feedback: dict[Slot, float]) -> None:
        """Learn one step; ``feedback`` is what the next step reads of this target."""
        if self._live is None:
            self._live = self._new_network()
        self._live.add_outputs(self._outputs() - len(self._live.network.head.bias))
        self._add_slots(("x", name) for name in numbers)
        self._live.learn(self._vector(numbers), target)
        if self.standardize:
            for name, value in numbers.items():
                self._scaler.add(name, value)
        if self.feedback:
            self._add_slots(feedback)
            self._feedback = feedback

    def _new_network(self) -> LiveNetwork:
        return LiveNetwork(*self._options(), 0 if self.classes else 1, classes=self.classes)

    def _add_slots(self, slots: Iterable[Slot]) -> None:
        """Give each new input an index, in an order that does not depend on the order of the dict."""
        new = sorted((slot for slot in slots if slot not in self._slots), key=repr)
        for slot in new:
            self._slots[slot] = len(self._slots)
        if new:
            assert self._live is not None
            self._live.add_inputs(len(new))

    def _numbers(self, x: Mapping[Any, Any]) -> dict[Hashable, float]:
        """Return the features that are not missing. Raises ``DataError`` for one that is no number or too large."""
        limit = MAX_NUMBER if self.standardize else MAX_RAW_NUMBER
        numbers = ((name, number_of(f"feature '{name}'", value, limit)) for name, value in x.items())
        return {name: number for name, number in numbers if number is not None}

    def _vector(self, numbers: dict[Hashable, float]) -> Vector:
        """Return the inputs of the network: 0 for a feature that is missing or new."""
        vector = np.zeros(len(self._slots), np.float32)
        for name, value in numbers.items():
            index = self._slots.get(("x", name))
            if index is not None:
                vector[index] = self._scaler.standard(name, value) if self.standardize else value
        for slot, value in self._feedback.items():
            vector[self._slots[slot]] = value
        return vector

    def save(self, path: str | Path) -> None:
        """Write everything to one safetensors file, completely or not at all.

        A loaded estimator continues bit for bit. Raises ``UsageError`` for features or classes whose names JSON cannot
        store.

        >>> import tempfile
        >>> from seriatim.online import OnlineRegressor
        >>> model = OnlineRegressor(hidden=4)
        >>> model.learn_one({"load": 0.5}, 20.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.safetensors")
        ...     loaded = OnlineRegressor.load(f"{folder}/model.safetensors")
        >>> loaded.predict_one({"load": 0.5}) == model.predict_one({"load": 0.5})
        True
        """
        write_snapshot(Path(path), self._snapshot())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an estimator that ``save`` wrote. Raises ``RunError`` if the file is damaged or of another kind."""
        snapshot = read_snapshot(Path(path))
        if snapshot.kind != cls.__name__:
            raise RunError(f"{path}: {snapshot.kind}, not {cls.__name__}")
        try:
            return cls._from_snapshot(snapshot)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            raise damaged(Path(path), error) from None

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            kind=type(self).__name__,
            options={name: getattr(self, name) for name in inspect.signature(type(self)).parameters},
            slots=tuple(self._slots),
            feedback=self._feedback,
            scaler=self._scaler.statistics(),
            targets=self._targets_to_json(),
            new_steps=self._live.new_steps if self._live else 0,
            arrays=self._live.tensors() if self._live else None,
        )

    @classmethod
    def _from_snapshot(cls, snapshot: Snapshot) -> Self:
        estimator = cls(**snapshot.options)
        estimator._targets_from_json(snapshot.targets)
        estimator._slots = {slot: index for index, slot in enumerate(snapshot.slots)}
        estimator._feedback = snapshot.feedback
        estimator._scaler = RunningScaler.of(snapshot.scaler)
        if snapshot.arrays is not None:
            estimator._live = estimator._new_network()
            estimator._live.load_tensors(snapshot.arrays, snapshot.new_steps)
        return estimator
