"""A network that learns while it runs: one step in, one update every k1 steps.

Two states go along: the network's own, which predictions start from and which every step brings on at once, and
what the learner carries, which with truncated BPTT(k1, k2) lies k2 - k1 steps behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seriatim.errors import TrainingError
from seriatim.learning.clipping import clip_norm
from seriatim.learning.learners import make_learner
from seriatim.learning.optimization import make_optimizer
from seriatim.learning.options import LearningOptions, truncation_of
from seriatim.models.contract import Carry
from seriatim.models.options import ModelOptions
from seriatim.online.growth import answer_more, widen
from seriatim.online.network import OnlineNetwork, Steps

Vector = NDArray[np.float32]


@final
class Live:
    """The moving parts of an online estimator that are tensors."""

    def __init__(self, model: ModelOptions, learning: LearningOptions, outputs: int, *, classes: bool) -> None:
        self.learning = learning
        self.k1, self.k2 = truncation_of(learning)
        self.draws = torch.Generator().manual_seed(learning.seed).get_state()
        """The random generator's state: of this stream's own, whatever else draws in the process."""
        with self._drawing():
            self.network = OnlineNetwork(model, outputs, classes=classes)
        self.parameters = list(self.network.parameters())
        self.optimizer = make_optimizer(self.parameters, learning)
        self.learner = make_learner(learning)
        self.state: Carry = ()
        self.carry: Carry = ()
        self.window: list[tuple[Vector, float]] = []
        """The steps that the next gradient is taken through, so far."""
        self.fresh = 0
        """How many of them are new."""

    def outputs(self, vector: Vector) -> NDArray[np.float64]:
        """What the network says [O] of a step from where it stands; nothing changes."""
        with torch.no_grad():
            given = torch.from_numpy(vector).view(1, 1, -1)
            found: NDArray[np.float64] = self.network(given, self.state)[0].view(-1).double().numpy()
        return found

    def learn(self, vector: Vector, target: float) -> None:
        """Go one step on, and learn where it is the turn. Raises ``TrainingError`` where it ends in no number."""
        with torch.no_grad():
            state = self.network.advance(self._steps([(vector, target)]), self.state)
        window = [*self.window, (vector, target)]
        carry, fresh = self.carry, self.fresh + 1
        if fresh == self.k1:
            carry = self._update(window, len(window) - fresh)
            keep = max(self.k2 - self.k1, 0)
            window, fresh = window[len(window) - min(keep, len(window)) :], 0
        self.state, self.carry, self.window, self.fresh = state, carry, window, fresh

    def widen(self, count: int) -> None:
        """Take ``count`` more inputs from now on."""
        with self._drawing():
            self.carry = widen(self.network, self.optimizer, self.carry, len(self.state), count)

    def answer_more(self, count: int) -> None:
        """Give ``count`` more outputs from now on."""
        answer_more(self.network, self.optimizer, count)

    def _update(self, window: list[tuple[Vector, float]], overlap: int) -> Carry:
        """Learn from the new steps of ``window``; return what to carry on."""
        self.optimizer.zero_grad(set_to_none=True)
        with self._drawing():
            _, carry = self.learner.step(self.network, self._steps(window, overlap), self.carry)
        norm = clip_norm(self.parameters, self.learning.clip)
        if not np.isfinite(norm):
            raise TrainingError(
                f"the gradient is not finite: nothing was learned from this step; try a lower lr (now "
                f"{self.learning.rate:g}) or a clip below {self.learning.clip or 1.0:g}"
            )
        self.optimizer.step()
        return carry

    def _steps(self, window: list[tuple[Vector, float]], overlap: int = 0) -> Steps:
        inputs = np.zeros((len(window), 1, self.network.reader.weight.shape[0]), np.float32)
        for row, (vector, _) in zip(inputs, window, strict=True):
            row[0, : len(vector)] = vector  # shorter where it is older than an input
        kind = torch.int64 if self.network.classes else torch.float32
        targets = torch.tensor([[target] for _, target in window], dtype=kind)
        return Steps(torch.from_numpy(inputs), targets, overlap=overlap)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Random draws go on where this stream's own left off."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.draws)
            yield
            self.draws = torch.get_rng_state()

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, to be stored."""
        found = {f"weights.{name}": one for name, one in self.network.state_dict().items()}
        for index, entry in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{index}.{name}": one for name, one in entry.items()}
        for part, given in (("state", self.state), ("carry", self.carry)):
            found |= {f"{part}.{index}": one for index, one in enumerate(given)}
        steps = self._steps(self.window)
        return found | {"inputs": steps.inputs, "targets": steps.targets, "draws": self.draws}

    def take(self, found: dict[str, Tensor], fresh: int) -> None:
        """Take ``tensors`` back. Raises ``KeyError``, ``ValueError`` or ``RuntimeError`` where they do not fit."""
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}, "state": {}, "carry": {}}
        for name, one in found.items():
            if "." in name:
                part, rest = name.split(".", 1)
                parts[part][rest] = one
        reader, head = parts["weights"]["reader.weight"], parts["weights"]["head.weight"]
        self.widen(len(reader) - len(self.network.reader.weight))
        self.answer_more(len(head) - len(self.network.head.weight))
        self.network.load_state_dict(parts["weights"])
        averages: dict[int, dict[str, Tensor]] = {}
        for name, one in parts["optimizer"].items():
            index, key = name.split(".", 1)
            averages.setdefault(int(index), {})[key] = one
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": averages, "param_groups": groups})
        self.state = tuple(parts["state"][str(index)] for index in range(len(parts["state"])))
        self.carry = tuple(parts["carry"][str(index)] for index in range(len(parts["carry"])))
        self.window = list(zip(found["inputs"].squeeze(1).numpy(), found["targets"].flatten().tolist(), strict=True))
        self.fresh, self.draws = fresh, found["draws"]
