"""Closed-form forecasters that are clearly worse over windows of the training part get no weight in a blend."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.run.fitting import fit
from seriatim.tasks.common import past_windows
from seriatim.tasks.common.blend import Member
from seriatim.tasks.common.past_windows import without_worse
from seriatim.tasks.forecast import Forecast
from seriatim.tasks.options import ForecastOptions

TASK = Forecast()
OPTIONS = ForecastOptions(hidden=4, epochs=1, horizon=3, lookback=8, season=4)


def wave(rows: int) -> Any:
    return 10 + np.sin(np.arange(rows) * np.pi / 2) + np.random.default_rng(0).normal(scale=0.1, size=rows)


def members(prepared: Any, *models: str) -> dict[str, Member]:
    """Fit models on the training part."""
    fitted = {}
    for name in models:
        options = dataclasses.replace(OPTIONS, model=name)
        torch.manual_seed(0)
        model = TASK.make(options, prepared.codec)
        fit(TASK, model, options, prepared, NullStore(), Silent())
        fitted[name] = Member(model, options)
    return fitted


def test_worse_forecasters_are_left_out_but_never_a_network() -> None:
    prepared = TASK.prepare(OPTIONS, wave(200))
    fitted = members(prepared, "lstm", "ar", "seasonal_naive", "drift", "naive")
    kept = without_worse(fitted, prepared.codec, prepared.valid, OPTIONS.horizon)
    assert "lstm" in kept and "ar" in kept
    assert not {"drift", "naive"} & set(kept)  # a wave of four steps is not where it was
    choice = TASK.choose(fitted, prepared.codec, prepared.valid)
    assert not {"drift", "naive"} & set(choice.parts)


def test_few_windows_leave_out_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = TASK.prepare(OPTIONS, wave(50))
    fitted = members(prepared, "ar", "drift")
    assert list(without_worse(fitted, prepared.codec, prepared.valid, OPTIONS.horizon)) == ["ar", "drift"]
    monkeypatch.setattr(past_windows, "FEWEST", 2)  # the same windows are evidence if so few are enough
    assert list(without_worse(fitted, prepared.codec, prepared.valid, OPTIONS.horizon)) == ["ar"]


def test_losses_are_those_of_windows_that_end_in_the_training_part() -> None:
    series = wave(200)
    prepared = TASK.prepare(OPTIONS, series)
    fitted = members(prepared, "naive")["naive"].model
    losses = past_windows._losses(fitted, prepared.codec, prepared.valid, OPTIONS.horizon)
    end = prepared.valid.train_ends[0]
    changed = dataclasses.replace(prepared.valid.series[0], values=prepared.valid.series[0].values.copy())
    changed.values[end:] = 1e6
    other = dataclasses.replace(prepared.valid, series=[changed])
    np.testing.assert_array_equal(losses, past_windows._losses(fitted, prepared.codec, other, OPTIONS.horizon))
    assert 30 <= len(losses) <= past_windows.WINDOWS
