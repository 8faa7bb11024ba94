"""Training on several processes of one machine: tokens per second, and the step time from which it pays.

    python benchmarks/ranks.py --processes 2 --json ranks.json

The models are language models: embedding, LSTM layers, dropout and softmax. A turn trains on N batches with the parts
of an update that ``seriatim train`` has: gradient, sum over the processes, clipping and Adam. One process, all of them
with one thread each, and one process with as many threads take turns; the others wait without work while one trains.

A simple model of an update explains the times. With C seconds for the gradient of the whole batch, U for clipping and
the optimizer, n processes, b bytes of gradient, and a sum that takes L + b / W seconds:

    one process: C + U          n processes: C / n + U + L + b / W          it pays where C > n / (n - 1) · (L + b / W)

L and W are fitted to the times of sums of other sizes, by least squares of the relative errors.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from _report import Report, Row, duration, markdown
from torch import distributed

from seriatim.bench.layer_timing import using_threads
from seriatim.learning.clipping import clip_norm
from seriatim.learning.learners import make_learner
from seriatim.learning.optimization import make_optimizer
from seriatim.learning.team import Alone, Processes, Team
from seriatim.models.contract import Carry
from seriatim.models.language import LanguageBatch, RecurrentLanguageModel
from seriatim.tasks.options import LanguageOptions

MODELS = {"small": (64, 1, 100), "medium": (256, 2, 2000), "large": (650, 2, 10000)}
"""Hidden units, layers and vocabulary."""
SUMS = (1 << 10, 1 << 14, 1 << 18, 1 << 20, 1 << 22, 1 << 24)
"""Numbers of a gradient for the fit of L and W."""
PARTS = ("gradient", "sum", "update")


def main() -> None:
    """Start the processes, or be one of them."""
    settings = arguments()
    if settings.rank is not None:
        with_group(settings)
        return
    with TemporaryDirectory() as folder:
        command = [sys.executable, __file__, *sys.argv[1:], "--folder", folder]
        ranks = [subprocess.Popen([*command, "--rank", str(rank)]) for rank in range(1, settings.processes)]
        settings.rank, settings.folder = 0, folder
        try:
            with_group(settings)
        finally:
            for rank in ranks:
                rank.wait(timeout=60)


def with_group(settings: argparse.Namespace) -> None:
    """Join the group of processes and measure. Rank 0 prints."""
    group = f"file://{settings.folder}/group"
    distributed.init_process_group("gloo", group, timedelta(minutes=5), settings.processes, settings.rank)
    try:
        measure(settings, Processes())
    finally:
        distributed.destroy_process_group()


def measure(settings: argparse.Namespace, team: Team) -> None:
    """Measure sums, then each model, and print a table with the times that the model of an update predicts."""
    with using(1, settings):
        latency, bandwidth = fit_sums(settings, team)
    report = Report(("model", "processes"), settings.json if team.leads else None)
    for name in settings.models:
        turns = train_in_turns(settings, team, name)
        if team.leads:
            row = {"model": name, "processes": team.size, "latency": latency, "bandwidth": bandwidth, **turns}
            report.add(row | prediction(row))
    if team.leads:
        print(f"sum over {team.size} processes: {duration(latency)} + bytes / ({bandwidth / 1e9:.2f} GB/s)\n")
        print(table(report.rows))


def fit_sums(settings: argparse.Namespace, team: Team) -> tuple[float, float]:
    """Return the latency L in seconds and the bandwidth W in bytes per second of a sum of gradients."""
    seconds = []
    for size in SUMS:
        parameter = torch.nn.Parameter(torch.zeros(size))
        times = []
        for _ in range(settings.rounds * 3):
            parameter.grad = torch.ones(size)
            team.wait()
            start = time.perf_counter()
            team.add_gradients([parameter], 0.5, (0.0, 0.0, 0.0))
            times.append(time.perf_counter() - start)
        seconds.append(float(np.quantile(times, settings.quantile)))
    times_of_sizes = np.array(seconds)
    columns = np.stack([np.ones(len(SUMS)), 4.0 * np.array(SUMS)], 1) / times_of_sizes[:, None]
    latency, per_byte = np.linalg.lstsq(columns, np.ones(len(SUMS)), rcond=None)[0]
    return max(float(latency), 0.0), 1 / max(float(per_byte), 1e-15)


def train_in_turns(settings: argparse.Namespace, team: Team, name: str) -> dict[str, Any]:
    """Train with one process and with all in alternation. Return the seconds of the parts of an update."""
    hidden, layers, vocabulary = MODELS[name]
    options = LanguageOptions(hidden=hidden, layers=layers, embedding=hidden, batch_size=settings.batch)
    torch.manual_seed(0)
    model = RecurrentLanguageModel(options, vocabulary, tie=False).train()
    batch = LanguageBatch(*torch.randint(vocabulary, (2, settings.steps, settings.batch)))
    alone, together = Alone(), team
    sides = {"alone": (alone, 1), "together": (together, 1), "threads": (alone, together.size)}
    times: dict[str, list[tuple[float, ...]]] = {side: [] for side in sides}
    for _ in range(settings.rounds):
        for side, (chosen, threads) in sides.items():
            together.wait()
            if side == "together" or together.leads:
                with using(threads, settings):
                    times[side] += updates(model, options, batch, chosen, settings.updates)
    if not team.leads:
        return {}
    tables = {side: np.array(rows) for side, rows in times.items()}
    quantiles = {side: np.quantile(rows, settings.quantile, axis=0).tolist() for side, rows in tables.items()}
    parts = {side: dict(zip(PARTS, values, strict=True)) for side, values in quantiles.items()}
    seconds = {side: float(np.quantile(rows.sum(1), settings.quantile)) for side, rows in tables.items()}
    return {
        "shape": f"{hidden} × {layers}, {vocabulary:,} units",
        "bytes": 4 * sum(parameter.numel() for parameter in model.parameters()),
        "tokens": batch.units,
        "parts": parts,
        "seconds": seconds,
    }


@contextmanager
def using(threads: int, settings: argparse.Namespace) -> Iterator[None]:
    """Compute with ``threads`` threads. With ``--pin``, a single thread stays on the processor of its process."""
    processors = os.cpu_count() or 1
    if settings.pin:
        os.sched_setaffinity(0, {settings.rank % processors} if threads == 1 else range(processors))
    with using_threads(threads):
        yield


def updates(
    model: RecurrentLanguageModel, options: LanguageOptions, batch: LanguageBatch, team: Team, count: int
) -> list[tuple[float, ...]]:
    """Train for ``count`` updates. Return the seconds of each part of each but the first."""
    learner, parameters = make_learner(options), list(model.parameters())
    optimizer = make_optimizer(parameters, options)
    rows = team.rows(batch)
    weight = team.weight(model, rows, batch)
    carry: Carry = ()
    times = []
    for _ in range(count + 1):
        marks = [time.perf_counter()]
        optimizer.zero_grad(set_to_none=True)
        loss, carry = learner.step(model, rows, carry)
        marks.append(time.perf_counter())
        team.add_gradients(parameters, weight, (float(loss) * weight, 0.0, 0.0))
        marks.append(time.perf_counter())
        clip_norm(parameters, options.clip)
        optimizer.step()
        marks.append(time.perf_counter())
        times.append(tuple(np.diff(marks).tolist()))
    return times[1:]


def prediction(row: Row) -> dict[str, float]:
    """Return the seconds of an update that the model predicts, and the least C for which more processes pay."""
    processes, alone = row["processes"], row["parts"]["alone"]
    cost = row["latency"] + row["bytes"] / row["bandwidth"]
    return {
        "predicted": alone["gradient"] / processes + alone["update"] + cost,
        "pays_from": processes / max(processes - 1, 1) * cost,
    }


def table(rows: list[Row]) -> str:
    """The figures in Markdown."""
    lines = []
    for row in rows:
        alone, together = row["parts"]["alone"], row["parts"]["together"]
        seconds, tokens = row["seconds"], row["tokens"]
        lines.append(
            [
                row["shape"],
                f"{row['bytes'] / 1e6:.2f} MB",
                f"{tokens / seconds['alone']:,.0f}",
                f"{tokens / seconds['together']:,.0f}",
                f"{tokens / seconds['threads']:,.0f}",
                f"{duration(alone['gradient'])} + {duration(alone['update'])}",
                " + ".join(duration(together[part]) for part in PARTS),
                f"{duration(seconds['together'])} ({duration(row['predicted'])})",
                duration(row["pays_from"]),
            ]
        )
    processes = rows[0]["processes"]
    columns = [
        *("LSTM", "gradient", "tokens/s, 1 process", f"{processes} processes", f"1 process, {processes} threads"),
        *("1: gradient + update", f"{processes}: gradient + sum + update", "measured (predicted)", "pays from C ="),
    ]
    return markdown(columns, lines)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batch", type=int, default=20, help="streams of a batch")
    parser.add_argument("--steps", type=int, default=35, help="steps of a segment")
    parser.add_argument("--updates", type=int, default=8, help="updates of a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--quantile", type=float, default=0.5, help="of the times; on a busy machine 0.1 or so")
    parser.add_argument("--pin", action="store_true", help="give each process a processor of its own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here; other rows in the file stay")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
