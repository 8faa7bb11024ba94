"""A network that learns while it runs: it reads one step at a time, and makes an update every k1 steps.

It has two states. ``state`` is the network's own: each step moves it at once, and predictions start from it. ``carry``
is what the learner carries; with truncated BPTT(k1, k2) it is k2 - k1 steps behind.
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
from seriatim.learning.options import LearningOptions
from seriatim.models.contract import Carry
from seriatim.models.options import ModelOptions
from seriatim.online.growth import add_inputs, add_outputs
from seriatim.online.network import OnlineNetwork, TargetSteps

Vector = NDArray[np.float32]


@final
class LiveNetwork:
    """The tensors of an online estimator: network, optimizer, states and the window of recent steps."""

    def __init__(self, model: ModelOptions, learning: LearningOptions, outputs: int, *, classes: bool) -> None:
        self.learning = learning
        self.generator_state = torch.Generator().manual_seed(learning.seed).get_state()
        """The state of this stream's own random generator. Other random draws in the process do not change it."""
        with self._own_random_draws():
            self.network = OnlineNetwork(model, outputs, classes=classes)
        self.parameters = list(self.network.parameters())
        self.optimizer = make_optimizer(self.parameters, learning)
        self.learner = make_learner(learning)
        segment = self.learner.segment
        assert segment is not None, "an online learner reads segments"
        self.segment = segment
        self.state: Carry = ()
        self.carry: Carry = ()
        self.window: list[tuple[Vector, float]] = []
        """The inputs and targets of the next update so far: the overlap, then the new steps."""
        self.new_steps = 0
        """The number of new steps in ``window``."""

    def outputs(self, vector: Vector) -> NDArray[np.float64]:
        """Return the outputs [O] for a step that follows the current state. Nothing changes."""
        with torch.no_grad():
            inputs = torch.from_numpy(vector).view(1, 1, -1)
            outputs: NDArray[np.float64] = self.network(inputs, self.state)[0].view(-1).double().numpy()
        return outputs

    def learn(self, vector: Vector, target: float) -> None:
        """Move the state by one step, and make an update every k1 steps.

        Raises ``TrainingError``, and changes nothing, if the gradient is not finite.
        """
        with torch.no_grad():
            state = self.network.advance(self._steps([(vector, target)]), self.state)
        window = [*self.window, (vector, target)]
        carry, new_steps = self.carry, self.new_steps + 1
        if new_steps == self.segment.new:
            carry = self._update(window, len(window) - new_steps)
            window, new_steps = window[max(len(window) - self.segment.overlap, 0) :], 0
        self.state, self.carry, self.window, self.new_steps = state, carry, window, new_steps
        if new_steps == 0:
            self.outputs(vector)  # packs the new weights for the engine, so that the next prediction need not wait

    def add_inputs(self, count: int) -> None:
        """Add ``count`` inputs to the network."""
        with self._own_random_draws():
            self.carry = add_inputs(self.network, self.optimizer, self.carry, len(self.state), count)

    def add_outputs(self, count: int) -> None:
        """Add ``count`` outputs to the network."""
        if count:
            add_outputs(self.network, self.optimizer, count)

    def _update(self, window: list[tuple[Vector, float]], overlap: int) -> Carry:
        """Learn from the new steps of ``window``; return the next carry."""
        self.optimizer.zero_grad(set_to_none=True)
        with self._own_random_draws():
            _, carry = self.learner.step(self.network, self._steps(window, overlap), self.carry)
        norm = clip_norm(self.parameters, self.learning.clip)
        if not np.isfinite(norm):
            raise TrainingError(
                f"the gradient is not finite: nothing was learned from this step; try a lower lr (now "
                f"{self.learning.rate:g}) or a clip below {self.learning.clip or 1.0:g}"
            )
        self.optimizer.step()
        return carry

    def _steps(self, window: list[tuple[Vector, float]], overlap: int = 0) -> TargetSteps:
        inputs = np.zeros((len(window), 1, self.network.reader.weight.shape[0]), np.float32)
        for row, (vector, _) in zip(inputs, window, strict=True):
            row[0, : len(vector)] = vector  # a step is shorter if it is older than an input
        dtype = torch.int64 if self.network.classes else torch.float32
        targets = torch.tensor([[target] for _, target in window], dtype=dtype)
        return TargetSteps(torch.from_numpy(inputs), targets, overlap=overlap)

    @contextmanager
    def _own_random_draws(self) -> Iterator[None]:
        """Use and advance this stream's own random generator."""
        other_draws = torch.get_rng_state()  # as torch.random.fork_rng, in a fifth of its time
        torch.set_rng_state(self.generator_state)
        try:
            yield
            self.generator_state = torch.get_rng_state()
        finally:
            torch.set_rng_state(other_draws)

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, to be stored."""
        tensors = {f"weights.{name}": weight for name, weight in self.network.state_dict().items()}
        for index, averages in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": average for name, average in averages.items()}
        for prefix, parts in (("state", self.state), ("carry", self.carry)):
            tensors |= {f"{prefix}.{index}": part for index, part in enumerate(parts)}
        steps = self._steps(self.window)
        return tensors | {"inputs": steps.inputs, "targets": steps.targets, "draws": self.generator_state}

    def load_tensors(self, tensors: dict[str, Tensor], new_steps: int) -> None:
        """Restore the result of ``tensors``. Raises ``KeyError``, ``ValueError`` or ``RuntimeError`` on a misfit."""
        groups: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}, "state": {}, "carry": {}}
        for name, tensor in tensors.items():
            if "." in name:
                group, rest = name.split(".", 1)
                groups[group][rest] = tensor
        reader, head = groups["weights"]["reader.weight"], groups["weights"]["head.weight"]
        self.add_inputs(len(reader) - len(self.network.reader.weight))
        self.add_outputs(len(head) - len(self.network.head.weight))
        self.network.load_state_dict(groups["weights"])
        averages: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["optimizer"].items():
            index, key = name.split(".", 1)
            averages.setdefault(int(index), {})[key] = tensor
        parameter_groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": averages, "param_groups": parameter_groups})
        self.state, self.carry = (
            tuple(groups[prefix][str(index)] for index in range(len(groups[prefix]))) for prefix in ("state", "carry")
        )
        targets = tensors["targets"].flatten().tolist()
        self.window = list(zip(tensors["inputs"].squeeze(1).numpy(), targets, strict=True))
        self.new_steps, self.generator_state = new_steps, tensors["draws"]
