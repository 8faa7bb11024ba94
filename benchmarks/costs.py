"""Costs besides the recurrence: start-up time, memory while reading, and the share of data preparation.

    scripts/bench costs            all of it (the large file takes about 1 GB of disk for a few minutes)
    scripts/bench costs --rows 2000000
    scripts/bench costs --quick    a moment of each, to see that it runs

Each figure is measured in a process of its own. Wall time is the median of several runs. Memory is the peak of the
process (``ru_maxrss``, which includes pages of mapped files).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

READ = """
import resource, sys, time
import numpy as np
from seriatim.data.series import read_series
from seriatim.data.windows import Windows

start = time.monotonic()
(series,), notes = read_series(sys.argv[1], target=("close", "volume"), time="time")
rows = len(series.values)
windows = Windows([series.values], 168, 24, [(168, rows - 23)])
batch = windows.batch(np.linspace(0, len(windows) - 1, 256).astype(int))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{rows:,} rows read and windowed in {time.monotonic() - start:.0f} s, peak {peak:.2f} GiB")
"""

TRAIN = """
import resource, sys, tempfile
import seriatim

with tempfile.TemporaryDirectory() as folder:
    run = seriatim.train("forecast", sys.argv[1], target="close", time="time", horizon=24, lookback=168, batch_size=256,
                         time_limit=float(sys.argv[2]), baselines="fast", quiet=True, out=folder + "/run")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"seriatim.train on it, {sys.argv[2]} s of training and every baseline: peak {peak:.2f} GiB with PyTorch loaded")
"""

PREPARATION = """
import sys, time
from seriatim.data.bundled import bundled_sets
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.options import fill
from seriatim.percent import percent
from seriatim.run.fitting import fit
from seriatim.tasks.registry import find_task

for bundled in bundled_sets():
    if sys.argv[1:] and bundled.name not in sys.argv[1:]:
        continue
    task = find_task(bundled.task)
    options = fill(task.options, {**bundled.options, "epochs": 1})
    start = time.monotonic()
    prepared = task.prepare(options, bundled.path)
    preparation_seconds = time.monotonic() - start
    outcome = fit(task, task.make(options, prepared.codec), options, prepared, NullStore(), Silent())
    share = outcome.data_seconds / outcome.seconds
    print(f"{bundled.task} ({bundled.name}): making batches is {percent(share, 2)} of an epoch "
          f"of {outcome.seconds:.1f} s; reading, splitting and encoding, once: {preparation_seconds:.2f} s")
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows of the large CSV")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, to see that it runs")
    arguments = parser.parse_args()
    rows, repeats, limit, sets = (2_000, 1, "0.5", ["sunspots"]) if arguments.quick else (arguments.rows, 7, "20", [])
    starts = [seconds([sys.executable, "-m", "seriatim", "--help"]) for _ in range(repeats)]
    median = statistics.median(starts)
    print(f"seriatim --help: {median:.2f} s, median of {repeats} ({min(starts):.2f} to {max(starts):.2f})")
    code = "import seriatim, sys; print(sorted({'numpy', 'torch', 'polars'} & {*sys.modules}))"
    print("import seriatim loads of numpy, torch, polars:", output(["-c", code]))
    print(output(["-c", PREPARATION, *sets]))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        file = Path(folder) / "prices.csv"
        write_prices(file, rows)
        print(f"CSV of {file.stat().st_size / 1e9:.2f} GB: {output(['-c', READ, str(file)])}")
        print(output(["-c", TRAIN, str(file), limit]))


def seconds(command: list[str]) -> float:
    """Return the wall time of a command."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def output(arguments: list[str]) -> str:
    """Return what Python prints when run with ``arguments``."""
    return subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def write_prices(file: Path, rows: int) -> None:
    """Write a CSV with a time stamp per second, two numbers and a column of words."""
    generator = np.random.default_rng(0)
    first_stamp = np.datetime64("2020-01-01T00:00:00")
    with file.open("w", encoding="ascii") as out:
        out.write("time,close,volume,note\n")
        for first in range(0, rows, 500_000):
            count = min(500_000, rows - first)
            stamps = np.datetime_as_string(first_stamp + np.arange(first, first + count))
            close, volume = generator.normal(100, 5, count), generator.integers(1, 10_000, count)
            out.writelines(
                f"{stamp},{price:.6f},{amount},venue-{amount % 90:02}-closed\n"
                for stamp, price, amount in zip(stamps, close, volume, strict=True)
            )


if __name__ == "__main__":
    main()
