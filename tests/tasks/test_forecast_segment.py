"""``forecast --segment``: refusals, the start, a saved run, and a run that goes on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seriatim
from seriatim.errors import UsageError
from seriatim.learning.observer import Silent
from seriatim.tasks.forecast import Forecast
from seriatim.tasks.options import ForecastOptions

TASK = Forecast()
OPTIONS = ForecastOptions(hidden=6, epochs=1, horizon=5, lookback=8, segment=3, start="ar")
RUN: dict[str, Any] = {"hidden": 6, "epochs": 2, "horizon": 5, "lookback": 8, "segment": 3, "dropout": 0.2,
                       "baselines": "none", "checkpoint_every": 2, "threads": 1, "quiet": True}  # fmt: skip
SERIES = 50 + np.sin(np.arange(100) * 0.9) + np.random.default_rng(3).normal(scale=0.05, size=100)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "recursive", "start": "seasonal_naive"}, "segment: for --strategy direct"),
        ({"model": "transformer"}, "segment: for rnn, lstm, gru, mingru, minlstm, slstm, lru, not transformer"),
        ({"model": "mlp"}, "segment: for rnn, .*, not mlp"),
        ({"model": "ar"}, "segment: for rnn, .*, not ar"),
    ],
)
def test_segment_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TASK.check(dataclasses.replace(OPTIONS, **changes))
    TASK.check(OPTIONS)


def test_segment_above_the_lookback_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="segment: got 9 steps, wanted at most the lookback of 8"):
        seriatim.train("forecast", [SERIES], out=str(tmp_path / "run"), **{**RUN, "segment": 9})
    assert not (tmp_path / "run" / "config.json").exists()
    TASK.prepare(dataclasses.replace(OPTIONS, segment=8), [SERIES])


def test_untrained_forecaster_is_the_fitted_autoregression() -> None:
    prepared = TASK.prepare(OPTIONS, [SERIES])
    torch.manual_seed(0)
    model: Any = TASK.make(OPTIONS, prepared.codec)
    TASK.plan(model, OPTIONS, prepared)
    scores = TASK.score(model, OPTIONS, prepared.codec, prepared.test)
    expected = TASK.score(model.start.fitted(), OPTIONS, prepared.codec, prepared.test)
    assert model.segments is not None
    assert scores == pytest.approx(expected, rel=1e-4)  # the network computes in float32


class Stop(Silent):
    """Interrupts a training after some updates."""

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        if step == 3:
            raise KeyboardInterrupt


def test_run_is_saved_and_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole = seriatim.train("forecast", [SERIES], out=str(tmp_path / "whole"), **RUN)
    predicted = list(whole.predict([SERIES]))
    assert list(seriatim.load(whole.path).predict([SERIES])) == predicted
    assert len(predicted[0]["1"]["0.5"]) == 5
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        seriatim.train("forecast", [SERIES], out=str(out), observer=Stop(), **RUN)
    assert not (out / "result.json").exists()
    resumed = seriatim.train("forecast", [SERIES], out=str(out), resume=True, **RUN)
    assert (out / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()
    assert resumed.result["scores"] == whole.result["scores"]
    other = seriatim.train("forecast", [SERIES], out=str(tmp_path / "other"), **{**RUN, "seed": 1})
    assert (other.path / "model.safetensors").read_bytes() != (out / "model.safetensors").read_bytes()


def test_onnx_export_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    run = seriatim.train("forecast", [SERIES], out=str(tmp_path / "run"), **{**RUN, "epochs": 1})
    with pytest.raises(UsageError, match="onnx: --segment reads the horizon in a second pass"):
        run.export(tmp_path / "model", onnx=True)
    assert not (tmp_path / "model").exists()
