"""Two hours of a sensor at 10 Hz, learned online: are time and memory constant, and does saving change anything?

    python recipes/sensor.py

The stream is synthetic: 72,000 steps with a pinned seed, replayed at full speed. It is a vibration with a varying
pitch, a load that changes in steps, a zero point that jumps after the first hour, and noise. The target is the next
reading. The script prints the error of the model and of the previous reading, and the time per step and the memory of
the first and the last minute. In the middle the model is saved and loaded. Both models then continue for five
minutes, and their predictions must be the same bits.
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
COMPARED = 5 * MINUTE
"""Steps for which the original and the loaded model are compared."""


def stream(seed: int = 0) -> np.ndarray:
    """Readings [STEPS + 1, 2]: the level of the vibration, and the load that drives it."""
    generator = np.random.default_rng(seed)
    count = STEPS + 1
    load = np.repeat(generator.choice([0.3, 0.6, 1.0], count // MINUTE + 1), MINUTE)[:count]
    pitch = 0.25 + 0.05 * np.cumsum(generator.normal(0, 0.02, count)).clip(-2, 2)
    phase = 2 * np.pi * np.cumsum(pitch) / HERTZ
    drift = np.where(np.arange(count) > STEPS // 2, 1.5, 0.0)
    level = load * (np.sin(phase) + 0.4 * np.sin(3 * phase)) + drift + generator.normal(0, 0.05, count)
    return np.stack([level, load], 1)


def memory() -> float:
    """Resident memory of this process in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> int:
    """Learn the stream and print the figures. The exit code is 0 if all compared predictions were the same bits."""
    torch.set_num_threads(1)
    readings = stream()
    model = OnlineRegressor(model="gru", hidden=16, truncation=(4, 16), feedback=False, lr=3e-3, seed=0)
    loaded: OnlineRegressor | None = None
    errors, naive, seconds, megabytes = [], [], np.zeros(STEPS), np.zeros(STEPS)
    equal = 0
    for step in range(STEPS):
        x = {"level": float(readings[step, 0]), "load": float(readings[step, 1])}
        y = float(readings[step + 1, 0])
        start = time.perf_counter()
        prediction = model.predict_one(x)
        model.learn_one(x, y)
        seconds[step] = time.perf_counter() - start
        megabytes[step] = memory() if step % HERTZ == 0 else np.nan
        errors.append(prediction - y)
        naive.append(readings[step, 0] - y)
        if step == STEPS // 2:
            with tempfile.TemporaryDirectory() as folder:
                model.save(Path(folder, "sensor.safetensors"))
                loaded = OnlineRegressor.load(Path(folder, "sensor.safetensors"))
        elif loaded is not None and step <= STEPS // 2 + COMPARED:
            equal += loaded.predict_one(x) == prediction
            loaded.learn_one(x, y)
        else:
            loaded = None
    report(np.array(errors), np.array(naive), seconds, megabytes)
    print(f"after saving and loading: {equal:,} of {COMPARED:,} predictions are the same bits")
    return 0 if equal == COMPARED else 1


def report(errors: np.ndarray, naive: np.ndarray, seconds: np.ndarray, megabytes: np.ndarray) -> None:
    """Print errors for each half hour, then time and memory of the first and the last minute."""
    for part in range(4):
        rows = slice(part * STEPS // 4, (part + 1) * STEPS // 4)
        model_error, naive_error = (np.sqrt(np.mean(values[rows] ** 2)) for values in (errors, naive))
        print(f"half hour {part + 1}: RMSE {model_error:.4f}, last reading {naive_error:.4f}")
    # the first second builds the network
    for name, rows in (("first", slice(HERTZ, MINUTE + HERTZ)), ("last", slice(STEPS - MINUTE, STEPS))):
        median, high = np.quantile(seconds[rows], (0.5, 0.99)) * 1e3
        print(f"{name} minute: {median:.3f} ms a step (99 %: {high:.3f}), {np.nanmean(megabytes[rows]):.1f} MB")
    print(f"all: {seconds.sum():.0f} s for {STEPS:,} steps")


if __name__ == "__main__":
    sys.exit(main())
