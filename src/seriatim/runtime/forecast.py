"""Forecasters: quantiles of the next steps of a series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.decoding.prediction_keys import prediction_keys
from seriatim.decoding.trajectories import quantiles, trajectories
from seriatim.encoding.labels import plain_name
from seriatim.encoding.scaler import Standardizer
from seriatim.errors import DataError, RunError, UsageError
from seriatim.models.naive.autoregressive import Autoregressive
from seriatim.models.naive.persistence import Drift, Naive, SeasonalNaive
from seriatim.models.naive.smoothing import ExponentialSmoothing
from seriatim.models.naive.statistical import StatisticalForecaster
from seriatim.models.naive.theta import Theta
from seriatim.notation import QUANTILES
from seriatim.runtime.arithmetic import Floats, affine, softplus
from seriatim.runtime.bodies import read_body
from seriatim.runtime.body import Carry
from seriatim.runtime.description import Description
from seriatim.runtime.histories import LARGEST, History, HistoryReader
from seriatim.runtime.model import PredictingStreamModel, Row, Stream
from seriatim.runtime.naive import load_naive
from seriatim.runtime.segments import Segments
from seriatim.runtime.stamps import after
from seriatim.runtime.state import State
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]

SMALLEST_DEVIATION: Final = np.float32(1e-2)
SMALLEST_SPREAD: Final = np.float32(1e-3)
PATHS: Final = 100
LARGEST_HORIZON: Final = 1 << 20
STRATEGIES: Final = {"direct": "direct", "recursive": "recursive"}
MISSING: Final = {"error": "error", "interpolate": "interpolate", "mask": "mask"}
NORMALIZE: Final = {"window": True, "none": False}


@final
class Forecaster(PredictingStreamModel):
    """A network or a naive model. A row of ``predict`` is an array [T, C] or [T], or a pair of a series' id and it.

    A third value, the time stamps [T] of its steps (dates, texts of dates or numbers), gives the result a key ``time``.

    A series of the training has its own scaler; a new one is scaled by its own values.
    """

    task: ClassVar[str] = "forecast"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        codec, settings = description.part("codec"), description.part("settings")
        self.targets, self.covariates = codec.texts("targets"), codec.texts("covariates")
        self.lookback = codec.size("lookback")
        self._scalers: Mapping[str, Standardizer] = codec.decoded("series", _scalers)
        codec.done()
        self.horizon, self.season = settings.size("horizon"), settings.size("season")
        self.strategy = settings.choice("strategy", STRATEGIES)
        self._missing = settings.choice("missing", MISSING)
        self._normalize = settings.choice("normalize", NORMALIZE)
        self._seed = settings.size("seed", 0)
        lags = settings.value("lags")
        settings.done()
        if self.horizon > LARGEST_HORIZON or self.lookback > LARGEST_HORIZON:
            raise RunError(f"{description.place}: horizon or lookback above {LARGEST_HORIZON}")
        self.channels = len(self.targets) + len(self.covariates)
        self._reader = HistoryReader(self.channels, len(self.targets), self.lookback, self._missing != "error")
        self._width = self.channels * (2 if self._missing == "mask" else 1)
        if any(len(scaler.mean) != self.channels for scaler in self._scalers.values()) or not self.targets:
            codec.refuse("series", f"scalers of {self.channels} channels")
        self._positions = {name: position for position, name in enumerate(self._scalers)}
        self._naive: StatisticalForecaster | None = None
        self._start: Autoregressive | None = None
        if not description.has("network"):
            self._naive = description.choice("model", _naive_models(self.season, lags))
            load_naive(self._naive, weights)
            return
        network = description.part("network")
        self._is_flat = network.flag("flat")
        inputs, steps = self._width * (self.lookback if self._is_flat else 1), self.horizon
        self._segments: Segments | None = None
        if network.has("segment"):
            self._segments = Segments(network.part("segment"), weights, width=self._width, horizon=self.horizon)
            inputs, steps = self._segments.input_size, self._segments.steps
        self.body = read_body(network, weights, inputs)
        is_direct_only = self._is_flat or self._segments is not None
        if not self.body.is_causal or (is_direct_only and self.strategy == "recursive"):
            raise RunError(f"{network.place}: a body that does not fit the strategy")
        count = len(self.targets)
        outputs = steps * count * len(QUANTILES) if self.strategy == "direct" else 2 * self.channels
        self.head = weights.take("head.weight", outputs, self.body.output_size), weights.take("head.bias", outputs)
        if network.has("start") and network.choice("start", {"ar": self.strategy == "direct"}):
            self._start = self._read_start(weights, lags)
        network.done()

    def _read_start(self, weights: WeightFile, lags: Any) -> Autoregressive:
        """Read the fitted model to whose forecast the head adds."""
        model = Autoregressive.within(self.lookback, season=self.season, lags=lags if isinstance(lags, int) else None)
        arrays = {name: weights.raw(f"start.{name}") for name in Autoregressive.arrays}
        try:
            model.load_state_dict(arrays)
        except (ValueError, IndexError) as error:
            raise RunError(f"{weights.path}: damaged (start: {error})") from None
        if arrays["deviation"].shape != (len(self._scalers), len(self.targets)):
            raise RunError(f"{weights.path}: a start that does not fit the series")
        return model

    def forecast(self, history: Any, *, id: str | None = None) -> Row:
        """Return the quantiles of the steps after ``history`` [T, C], of the training's series ``id`` or a new one."""
        return next(self.predict([history if id is None else (id, history)]))

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        series = self.histories(rows)
        yield from self.rows_of(series, self.quantiles(series))

    def rows_of(self, series: Sequence[History], quantiles: Iterable[Array]) -> Iterator[Row]:
        """Yield a row of ``predict`` for the quantiles [horizon, targets, Q] after each history."""
        for history, values in zip(series, quantiles, strict=True):
            row: Row = {"id": history.name, "step": list(range(1, self.horizon + 1))}
            if history.times is not None:
                row["time"] = after(history.times, self.horizon)
            for column, key in enumerate(prediction_keys(self.targets)):
                levels = {str(level): values[:, column, index].tolist() for index, level in enumerate(QUANTILES)}
                row[key] = levels if history.is_shown[column] else None
            yield row

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield one row for each step."""
        keys = prediction_keys(self.targets)
        for index, step in enumerate(row["step"]):
            levels = [str(level) for level in QUANTILES]
            quantiles = {f"{key}_{level}": row[key] and row[key][level][index] for key in keys for level in levels}
            time = {"time": row["time"][index]} if "time" in row else {}
            yield {"id": row["id"], "step": step} | time | quantiles

    def histories(self, rows: Iterable[Any]) -> list[History]:
        """Return the histories of the rows of ``predict``: one for each row at which some target ends."""
        return [history for number, row in enumerate(rows, 1) for history in self._reader.read(number, row)]

    def quantiles(self, series: Sequence[History]) -> Iterator[Array]:
        """Yield the quantiles [horizon, targets, Q] after each history."""
        targets = len(self.targets)
        if self._naive is not None:
            for history in series:
                end = np.array([len(history.values)])
                position = self._positions.get(history.name)
                yield self._naive.forecast(position, history.values[:, :targets], end, self.horizon)[0]
            return
        scalers = [self._scalers.get(item.name) or Standardizer.fit(item.values) for item in series]
        scaled = list(zip(series, scalers, strict=True))
        windows = [self._window(item.values, item.observed, scaler) for item, scaler in scaled]
        starts = [self._start_of(item.name, item.values, scaler) for item, scaler in scaled]
        generator = np.random.default_rng(self._seed)
        for first in range(0, len(windows), 512):
            stop = first + 512
            batch = self.network_quantiles(np.stack(windows[first:stop], 1), starts[first:stop], generator)
            for scaled, scaler in zip(batch, scalers[first:stop], strict=True):
                mean, scale = scaler.mean[:targets, None], scaler.scale[:targets, None]
                yield scaled.astype(np.float64) * scale + mean

    def _window(self, values: Array, observed: Array, scaler: Standardizer) -> Floats:
        """Return the last ``lookback`` steps, scaled, [lookback, C], with the channels of the mask."""
        window: Floats = scaler.transform(values)[-self.lookback :].astype(np.float32)
        if self._missing != "mask":
            return window
        return np.concatenate([window, observed[-self.lookback :].astype(np.float32)], 1)

    def _start_of(self, name: str, values: Array, scaler: Standardizer) -> Floats | None:
        """Return the quantiles [horizon, targets, Q] to which the head adds, scaled; None for the seasonal naive."""
        if self._start is None:
            return None
        targets = len(self.targets)
        end = np.array([len(values)])
        quantiles = self._start.forecast(self._positions.get(name), values[:, :targets], end, self.horizon)[0]
        scaled: Floats = (quantiles - scaler.mean[:targets, None]) / scaler.scale[:targets, None]
        return scaled.astype(np.float32)

    def network_quantiles(
        self, history: Floats, starts: Sequence[Floats | None], generator: np.random.Generator
    ) -> Floats:
        """Map [lookback, B, C] to [B, horizon, targets, Q], in the units of the history."""
        channels, targets = self.channels, len(self.targets)
        values = history[..., :channels]
        mean, deviation = np.zeros_like(values[0]), np.ones_like(values[0])
        if self._normalize:
            mean, deviation = values.mean(0), np.maximum(values.std(0), SMALLEST_DEVIATION)
        inputs = np.concatenate([(values - mean) / deviation, history[..., channels:]], -1)
        if self.strategy == "recursive":
            forecast = self._recursive(inputs, generator)
        else:
            fitted = [start for start in starts if start is not None]
            centre, width = mean[:, None, :targets, None], deviation[:, None, :targets, None]
            start = (np.stack(fitted) - centre) / width if fitted else self._seasonal_naive(inputs)
            forecast = start + self._steps(inputs)
        scaled = forecast * deviation[:, None, :targets, None] + mean[:, None, :targets, None]
        return np.sort(scaled, -1) if self.strategy == "direct" else scaled

    def _steps(self, inputs: Floats) -> Floats:
        """Return what the head adds to the start, [B, horizon, targets, Q]."""
        count, sizes = inputs.shape[1], (len(self.targets), len(QUANTILES))
        if self._segments is not None:
            outputs = affine(self._segments.run(self.body, inputs), *self.head)
            return outputs.reshape(count, -1, *sizes)[:, : self.horizon]
        x = inputs.transpose(1, 0, 2).reshape(1, count, -1) if self._is_flat else inputs
        states, _ = self.body.run(x)
        return affine(states[-1], *self.head).reshape(count, self.horizon, *sizes)

    def _seasonal_naive(self, inputs: Floats) -> Floats:
        """Return the seasonal naive forecast, [B, horizon, targets, 1]."""
        season = self.season if self.season <= len(inputs) else 1
        steps = np.arange(self.horizon) % season - season
        anchor: Floats = inputs[steps, :, : len(self.targets)].transpose(1, 0, 2)
        return anchor[..., None]

    def _recursive(self, inputs: Floats, generator: np.random.Generator) -> Floats:
        rows, channels = inputs.shape[1] * PATHS, self.channels
        carry: Carry = self.body.run(inputs[:-1])[1] if len(inputs) > 1 else ()
        observed = np.ones((rows, self._width - channels), np.float32)

        def step(values: Array, state: Carry) -> tuple[tuple[Array, Array], Carry]:
            x = np.concatenate([values.astype(np.float32), observed], -1)
            states, state = self.body.run(x[None], state)
            change, spread = np.split(affine(states[0], *self.head), 2, -1)
            centre = x[:, :channels] + change
            spread = softplus(spread) + SMALLEST_SPREAD
            return (centre.astype(np.float64), spread.astype(np.float64)), state

        first = np.tile(inputs[-1, :, :channels], (PATHS, 1)).astype(np.float64)
        state = tuple(np.tile(part, (1, PATHS, *[1] * (part.ndim - 2))) for part in carry)
        sampled = trajectories(step, state, first, self.horizon, rows, generator)
        levels = quantiles(sampled.reshape(self.horizon, PATHS, -1)).astype(np.float32)
        shaped = levels.reshape(self.horizon, -1, channels, len(QUANTILES))[:, :, : len(self.targets)]
        return np.ascontiguousarray(shaped.transpose(1, 0, 2, 3))

    def stream(self, *, id: str | None = None, seed: int | None = None) -> Stream:
        """Begin a stream of the training's series ``id`` (by default the only one), which has its own scaler.

        If the training had several and ``id`` is None, each forecast is scaled by the values of its window.
        """
        if self._naive is not None:
            raise UsageError("stream: a naive forecaster reads the whole history; call forecast")
        if id is not None and id not in self._scalers:
            raise UsageError(f"id: no series '{id}' in the training")
        stream = Stream(self, seed)
        if id is not None:
            stream.state.values["id"] = id
        return stream

    def begin(self, seed: int | None) -> State:
        names = list(self._scalers)
        return State(
            values={"id": names[0] if len(names) == 1 else ""}, arrays={"window": np.zeros((0, self.channels))}
        )

    def read_input(self, x: Any) -> Any:
        try:
            values = np.array(x, np.float64).reshape(-1)
        except (TypeError, ValueError) as error:
            raise DataError(f"x: not numbers ({error})") from None
        if values.shape != (self.channels,):
            raise DataError(f"x: got {len(values)} values, wanted {self.channels}")
        wrong = np.abs(values) > LARGEST
        if not np.isfinite(values).all() or wrong.any():
            raise DataError("x: a value that is missing, infinite or too large")
        return values

    def answer(self, state: State, x: Any, prediction: Array) -> Row:
        """Return the answer of a stream, a row of ``predict``, for quantiles [horizon, targets, Q]."""
        window = state.arrays["window"]
        is_shown = tuple(True for _ in self.targets)
        history = History(state.values["id"], window, np.ones(window.shape, np.bool_), is_shown)
        return next(self.rows_of([history], [prediction]))

    def step_predictions(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Array | None]:
        """Change each state by one step, and return the quantiles, or None while less than the lookback was read."""
        predictions: list[Array | None] = []
        for state, values in zip(states, inputs, strict=True):
            window = np.concatenate([state.arrays["window"], values[None]])[-self.lookback :]
            state.arrays["window"], state.position = window, state.position + 1
            is_full = len(window) == self.lookback
            histories = self.histories([(state.values["id"], window)]) if is_full else []
            predictions.append(next(iter(self.quantiles(histories)), None))
        return predictions

    def check_state(self, state: State) -> None:
        window, name = state.arrays.get("window"), state.values.get("id")
        if (
            window is None
            or window.dtype != np.float64
            or window.shape[1:] != (self.channels,)
            or len(window) > self.lookback
        ):
            raise DataError("snapshot: damaged ('window')")
        if name != "" and name not in self._scalers:
            raise DataError("snapshot: damaged ('id')")


def _scalers(stored: Any) -> dict[str, Standardizer]:
    return {plain_name(name): Standardizer.from_json(scaler) for name, scaler in stored.items()}


def _naive_models(season: int, lags: Any) -> dict[str, StatisticalForecaster]:
    return {
        "naive": Naive(),
        "seasonal_naive": SeasonalNaive(season),
        "drift": Drift(),
        "theta": Theta(season),
        "ets": ExponentialSmoothing(season),
        "ar": Autoregressive(season=season, lags=lags if isinstance(lags, int) else None),
    }
