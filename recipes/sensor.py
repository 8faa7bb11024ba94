"""Two hours of a sensor at 10 Hz, learned online: is time per step flat, is memory, and does saving change anything?

    python recipes/sensor.py

A made-up stream of 72,000 steps with a pinned seed, replayed at full speed: a vibration whose pitch wanders, a load
that steps up and down, a zero point that jumps after the first hour, noise. The target is the next reading. Prints
the error beside that of the last reading, time per step and memory of the first and the last minute. In the middle
the model is saved and loaded, and goes on for five minutes beside the one that was not: the predictions of both must
be the same bits.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from seriatim.online import OnlineRegressor

HERTZ, HOURS = 10, 2
STEPS = HERTZ * 3600 * HOURS
MINUTE = HERTZ * 60
BESIDE = 5 * MINUTE
"""Steps that the saved and the unsaved model go side by side."""


def stream(seed: int = 0) -> np.ndarray:
    """Readings [STEPS + 1, 2]: the vibration's level, and the load that drives it."""
    draw = np.random.default_rng(seed)
    count = STEPS + 1
    load = np.repeat(draw.choice([0.3, 0.6, 1.0], count // MINUTE + 1), MINUTE)[:count]
    pitch = 0.25 + 0.05 * np.cumsum(draw.normal(0, 0.02, count)).clip(-2, 2)
    phase = 2 * np.pi * np.cumsum(pitch) / HERTZ
    drift = np.where(np.arange(count) > STEPS // 2, 1.5, 0.0)
    level = load * (np.sin(phase) + 0.4 * np.sin(3 * phase)) + drift + draw.normal(0, 0.05, count)
    return np.stack([level, load], 1)


def memory() -> float:
    """Megabytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> int:
    """Learn the stream and print what was asked; the exit code tells whether the bits were the same."""
    torch.set_num_threads(1)
    readings = stream()
    model = OnlineRegressor(model="gru", hidden=16, truncation=(4, 16), feedback=False, lr=3e-3, seed=0)
    restored: OnlineRegressor | None = None
    errors, last, seconds, megabytes = [], [], np.zeros(STEPS), np.zeros(STEPS)
    same = 0
    for step in range(STEPS):
        x = {"level": float(readings[step, 0]), "load": float(readings[step, 1])}
        y = float(readings[step + 1, 0])
        began = time.perf_counter()
        guess = model.predict_one(x)
        model.learn_one(x, y)
        seconds[step] = time.perf_counter() - began
        megabytes[step] = memory() if step % HERTZ == 0 else np.nan
        errors.append(guess - y)
        last.append(readings[step, 0] - y)
        if step == STEPS // 2:
            with tempfile.TemporaryDirectory() as folder:
                model.save(Path(folder, "sensor.safetensors"))
                restored = OnlineRegressor.load(Path(folder, "sensor.safetensors"))
        elif restored is not None and step <= STEPS // 2 + BESIDE:
            same += restored.predict_one(x) == guess
            restored.learn_one(x, y)
        else:
            restored = None
    report(np.array(errors), np.array(last), seconds, megabytes)
    print(f"after saving and loading: {same:,} of {BESIDE:,} predictions are the same bits")
    return 0 if same == BESIDE else 1


def report(errors: np.ndarray, last: np.ndarray, seconds: np.ndarray, megabytes: np.ndarray) -> None:
    """Print errors by the half hour, then time and memory of the first and the last minute."""
    for part in range(4):
        rows = slice(part * STEPS // 4, (part + 1) * STEPS // 4)
        own, naive = (np.sqrt(np.mean(one[rows] ** 2)) for one in (errors, last))
        print(f"half hour {part + 1}: RMSE {own:.4f}, last reading {naive:.4f}")
    # the first second builds the network
    for name, rows in (("first", slice(HERTZ, MINUTE + HERTZ)), ("last", slice(STEPS - MINUTE, STEPS))):
        median, high = np.quantile(seconds[rows], (0.5, 0.99)) * 1e3
        print(f"{name} minute: {median:.3f} ms a step (99 %: {high:.3f}), {np.nanmean(megabytes[rows]):.1f} MB")
    print(f"all: {seconds.sum():.0f} s for {STEPS:,} steps")


if __name__ == "__main__":
    sys.exit(main())
