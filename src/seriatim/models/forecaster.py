"""Neural forecasters: the whole horizon at once, or step by step.

Both scale each window by its own mean and deviation (Kim 2022, RevIN without the affine part), so that levels need not
occur in training. Both forecast quantiles.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.decoding.trajectories import quantiles, trajectories
from seriatim.models.bodies import build_body
from seriatim.models.contract import BatchT, Carry, Segment, StreamModel, Trainable
from seriatim.models.naive.autoregressive import Autoregressive
from seriatim.models.options import ModelOptions, is_streaming
from seriatim.models.segments import Segments
from seriatim.models.start import AutoregressiveStart
from seriatim.notation import QUANTILES

Floats: TypeAlias = npt.NDArray[np.float64]

SMALLEST_DEVIATION = 1e-2
"""In units of the series' deviation. A window is never scaled by less than this."""


@dataclass(frozen=True)
class WindowBatch:
    """B windows of scaled series. Channels: targets, covariates, then (with ``mask``) one 0/1 per channel before it."""

    ROWS_FIRST: ClassVar[tuple[str, ...]] = ("start",)

    history: Tensor
    """[lookback, B, C] float32."""
    future: Tensor
    """[horizon, B, C] float32."""
    start: Tensor | None = None
    """[B, horizon, targets, Q] float32: the quantiles to which the head adds, or None for the seasonal naive."""

    @property
    def units(self) -> int:
        return self.history.shape[0] * self.history.shape[1]


@dataclass(frozen=True)
class StepBatch(Segment):
    """B scaled windows as T - 1 steps, each with the step after it as its target."""

    inputs: Tensor
    """[T - 1, B, C] normalised float32."""
    targets: Tensor
    """[T - 1, B, channels] normalised float32."""
    weight: Tensor
    """[T - 1, B, channels]: 1 where a target was observed, 0 where it was filled in."""

    @property
    def units(self) -> int:
        return int(self.weight[self.overlap :].sum())


@dataclass(frozen=True)
class WindowShape:
    """The sizes that a forecaster is built for."""

    targets: int
    covariates: int
    lookback: int
    horizon: int
    season: int
    masked: bool
    normalize: bool
    segment: int = 1
    """The number of steps that make one input of the network; 1: the head forecasts the whole horizon at once."""

    @property
    def channels(self) -> int:
        """The number of channels that are values, not masks."""
        return self.targets + self.covariates

    @property
    def width(self) -> int:
        """The number of all channels."""
        return self.channels * (2 if self.masked else 1)


class Forecaster(Trainable[BatchT]):
    """A network that maps a window of history to quantiles of the horizon."""

    reads_steps = True
    """Whether each step of a window is one input of the body."""

    def __init__(self, shape: WindowShape) -> None:
        super().__init__()
        self.shape = shape

    @abstractmethod
    def batch(self, windows: WindowBatch) -> BatchT:
        """Return ``windows`` in the form that ``loss`` takes."""

    @abstractmethod
    def quantiles(self, history: Tensor, generator: np.random.Generator, start: Tensor | None = None) -> Tensor:
        """Map ``[lookback, B, C]`` to quantiles ``[B, horizon, targets, Q]`` in the units of the history.

        ``start`` is as in ``WindowBatch``.
        """

    @abstractmethod
    def fitted_start(self) -> Autoregressive | None:
        """Return the fitted model to whose forecast the head adds, if there is one."""

    def _scale(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and deviation ``[B, channels]`` of each window."""
        values = history[..., : self.shape.channels]
        if not self.shape.normalize:
            return torch.zeros_like(values[0]), torch.ones_like(values[0])
        deviation = values.std(0, correction=0).clamp(min=SMALLEST_DEVIATION)
        return values.mean(0), deviation

    def _inputs(self, window: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """Scale the value channels of ``window`` [T, B, C] and leave the masks as they are."""
        channels = self.shape.channels
        return torch.cat([(window[..., :channels] - mean) / deviation, window[..., channels:]], -1)

    def _weight(self, window: Tensor) -> Tensor:
        """Return 1 where a channel [T, B, channels] was observed, 0 where it was filled in."""
        channels = self.shape.channels
        return window[..., channels:] if self.shape.masked else torch.ones_like(window[..., :channels])


@final
class DirectForecaster(Forecaster[WindowBatch]):
    """Quantiles of the whole horizon from the last state, trained by the quantile loss (Wen 2017).

    The head adds to the quantiles of a fitted autoregressive model (``start``), or to the seasonal naive forecast (to
    the last value if the season is 1 or longer than the window). So an untrained forecaster is the simple model. A
    network without a state (mlp) reads all values of the window as one step. With segments (``WindowShape.segment``)
    the last state is decoded once for each segment of the horizon.
    """

    def __init__(self, options: ModelOptions, shape: WindowShape, start: AutoregressiveStart | None = None) -> None:
        super().__init__(shape)
        self.start = start
        self.flat = not is_streaming(options.model)
        self.segments: Segments | None = None
        input_size, steps = shape.width * (shape.lookback if self.flat else 1), shape.horizon
        if shape.segment > 1:
            input_size, steps = options.hidden, shape.segment
            self.segments = Segments(
                width=shape.width, segment=shape.segment, horizon=shape.horizon, size=options.hidden
            )
        self.reads_steps = not self.flat and self.segments is None
        self.stack = build_body(options, input_size, causal=True)
        self.output = nn.Linear(self.stack.output_size, steps * shape.targets * len(QUANTILES))
        nn.init.zeros_(self.output.weight)
        if start is not None:
            nn.init.zeros_(self.output.bias)
        self.levels: Tensor
        self.register_buffer("levels", torch.tensor(QUANTILES), persistent=False)

    def forward(self, history: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return normalised quantiles ``[B, horizon, targets, Q]`` and the windows' mean and deviation.

        ``start`` is as in ``WindowBatch``.
        """
        mean, deviation = self._scale(history)
        inputs = self._inputs(history, mean, deviation)
        step, targets = self._step(inputs), self.shape.targets
        if start is None:
            return self.anchor(inputs).unsqueeze(-1) + step, mean, deviation
        return (start - mean[:, None, :targets, None]) / deviation[:, None, :targets, None] + step, mean, deviation

    def _step(self, inputs: Tensor) -> Tensor:
        """Return what the head adds to the start, ``[B, horizon, targets, Q]``."""
        sizes = (inputs.shape[1], -1, self.shape.targets, len(QUANTILES))
        if self.segments is not None:
            parts: Tensor = self.output(self.segments(self.stack, inputs))
            return parts.reshape(sizes)[:, : self.shape.horizon]
        states, _ = self.stack(inputs.transpose(0, 1).flatten(1)[None] if self.flat else inputs)
        whole: Tensor = self.output(states[-1])
        return whole.reshape(sizes)

    def batch(self, windows: WindowBatch) -> WindowBatch:
        return windows

    def fitted_start(self) -> Autoregressive | None:
        return None if self.start is None else self.start.fitted()

    def anchor(self, inputs: Tensor) -> Tensor:
        """Return the seasonal naive forecast ``[B, horizon, targets]``."""
        season = self.shape.season if self.shape.season <= inputs.shape[0] else 1
        steps = torch.arange(self.shape.horizon) % season - season
        return inputs[steps, :, : self.shape.targets].transpose(0, 1)

    def terms(self, batch: WindowBatch) -> float:
        return float(self._weight(batch.future)[..., : self.shape.targets].sum())

    def loss(self, batch: WindowBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean quantile loss over horizon, targets and levels, in units of the window's deviation."""
        forecast, mean, deviation = self(batch.history, batch.start)
        targets = self.shape.targets
        actual = ((batch.future[..., :targets] - mean[:, :targets]) / deviation[:, :targets]).transpose(0, 1)
        error = actual.unsqueeze(-1) - forecast
        pinball = torch.maximum(self.levels * error, (self.levels - 1) * error).mean(-1)
        weight = self._weight(batch.future)[..., :targets].transpose(0, 1)
        return (pinball * weight).sum() / weight.sum().clamp(min=1.0), ()

    def quantiles(self, history: Tensor, generator: np.random.Generator, start: Tensor | None = None) -> Tensor:
        forecast, mean, deviation = self(history, start)
        targets = self.shape.targets
        scaled: Tensor = forecast * deviation[:, None, :targets, None] + mean[:, None, :targets, None]
        return torch.sort(scaled.float(), dim=-1).values  # quantiles that cross are sorted (Chernozhukov 2010)


@final
class RecursiveForecaster(Forecaster[StepBatch], StreamModel[StepBatch]):
    """A Gaussian of the next step, fed back to itself: a latent autoregressive model (DeepAR, Salinas 2020).

    All channels are forecast, also covariates, since their future is unknown. Quantiles come from sampled paths.
    """

    PATHS = 100
    """Sampled paths per forecast."""

    def __init__(self, options: ModelOptions, shape: WindowShape) -> None:
        super().__init__(shape)
        self.stack = build_body(options, shape.width, causal=True)
        self.output = nn.Linear(self.stack.output_size, 2 * shape.channels)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor, carry: Carry = ()) -> tuple[Tensor, Tensor, Carry]:
        """Map normalised inputs [T, B, C] to mean and deviation [T, B, channels] of the step after each."""
        states, carry = self.stack(inputs, carry)
        change, spread = self.output(states).chunk(2, -1)
        return inputs[..., : self.shape.channels] + change, functional.softplus(spread) + 1e-3, carry

    def batch(self, windows: WindowBatch) -> StepBatch:
        """Return ``windows``, each scaled by its history, as steps."""
        window = torch.cat([windows.history, windows.future])
        inputs = self._inputs(window, *self._scale(windows.history))
        return StepBatch(inputs[:-1], inputs[1:, :, : self.shape.channels], self._weight(window)[1:])

    def fitted_start(self) -> None:
        return None

    def log_density(self, batch: StepBatch, carry: Carry = ()) -> tuple[Tensor, Carry]:
        """Return the log density [T - 1, B, channels] of each target after the steps before it, in normalised units.

        Also returns the state after the batch.
        """
        centre, spread, carry = self(batch.inputs, carry)
        error = (batch.targets - centre) / spread
        return -0.5 * error.square() - torch.log(spread) - 0.5 * math.log(2 * math.pi), carry

    def advance(self, batch: StepBatch, carry: Carry) -> Carry:
        final: Carry = self.stack(batch.inputs, carry)[1]
        return final

    def loss(self, batch: StepBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean negative log density per step and channel, with the true past as input (teacher forcing)."""
        density, carry = self.log_density(batch, carry)
        density, weight = density[batch.overlap :], batch.weight[batch.overlap :]
        return -(density * weight).sum() / weight.sum().clamp(min=1.0), carry

    def quantiles(self, history: Tensor, generator: np.random.Generator, start: Tensor | None = None) -> Tensor:
        shape, paths = self.shape, self.PATHS
        mean, deviation = self._scale(history)
        inputs = self._inputs(history, mean, deviation)
        rows = inputs.shape[1] * paths
        _, carry = self.stack(inputs[:-1]) if len(inputs) > 1 else (None, ())
        observed = torch.ones(rows, shape.width - shape.channels)

        def step(values: Floats, state: Carry) -> tuple[tuple[Floats, Floats], Carry]:
            inputs = torch.cat([torch.from_numpy(np.array(values, np.float32)), observed], -1)
            centre, spread, state = self(inputs.unsqueeze(0), state)
            return (centre[0].double().numpy(), spread[0].double().numpy()), state

        first = inputs[-1, :, : shape.channels].repeat(paths, 1).double().numpy()
        state = tuple(part.repeat(1, paths, 1) for part in carry)
        sampled = trajectories(step, state, first, shape.horizon, rows, generator)  # [horizon, S·B, channels]
        levels = quantiles(sampled.reshape(shape.horizon, paths, -1))  # [horizon, B·channels, Q]
        scaled = (
            torch.from_numpy(levels)
            .float()
            .reshape(shape.horizon, -1, shape.channels, len(QUANTILES))[:, :, : shape.targets]
        )
        targets = shape.targets
        return scaled.transpose(0, 1) * deviation[:, None, :targets, None] + mean[:, None, :targets, None]


def build_forecaster(
    options: ModelOptions, shape: WindowShape, strategy: str, start: AutoregressiveStart | None = None
) -> Forecaster[Any]:
    """Build the forecaster of a strategy, ``direct`` or ``recursive``. ``start`` is for ``direct``."""
    makers: dict[str, Callable[[], Forecaster[Any]]] = {
        "direct": lambda: DirectForecaster(options, shape, start),
        "recursive": lambda: RecursiveForecaster(options, shape),
    }
    return makers[strategy]()
