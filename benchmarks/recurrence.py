"""Layers and cells against ``torch.nn``: in one process, in alternation, in random order.

    python benchmarks/recurrence.py --group layers --dtypes float32 --threads 2 --json figures.json
    python benchmarks/recurrence.py --group packed
    python benchmarks/recurrence.py --group cells
    python benchmarks/recurrence.py --show figures.json        prints the tables of a file and measures nothing

Times are medians with quartiles. A ratio is the median over rounds of PyTorch's time ÷ ours, so a ratio above 1 means
faster than PyTorch. The share is relative to the speed of ``torch.mm`` on two 1024 × 1024 matrices just before and
after, which is close to the peak of the multiply-add units. Training is forward and backward with gradients of the
input and of every weight. The weights change in place between steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from _report import Report, Row, duration, markdown, means, ratio, read, spread
from torch import Tensor, nn

from seriatim.bench.layer_timing import (
    PRECISIONS,
    Workload,
    change_weights,
    implementation_name,
    matmul_peak,
    measure,
    side,
    torch_version,
    using_threads,
    without_lengths,
)
from seriatim.bench.paired_timing import Side, race
from seriatim.nn.registry import CELLS, LAYERS
from seriatim.percent import percent

SHAPES = ((35, 20, 650, 650), (100, 32, 128, 128), (365, 256, 32, 256), (512, 64, 256, 512), (100, 1, 64, 64))
"""(T, B, I, H)."""
PACKED_SHAPES = ((100, 32, 128, 128), (365, 64, 64, 256))
CELL_SHAPES = ((100, 1, 128, 128), (100, 32, 128, 128))
THEIR_CELLS = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
IDENTITY = ("group", "cell", "shape", "mode", "dtype", "threads")


def main() -> None:
    """Measure and print."""
    options = arguments()
    report = Report(IDENTITY, options.json)
    if options.show:
        show(read(options.show))
        return
    for group in options.group:
        for row in GROUPS[group](options):
            report.add(row)
            print(line(row), flush=True)
    print()
    show(report.rows)


def layers(options: argparse.Namespace) -> Iterator[Row]:
    """One layer on padded sequences."""
    for threads, work in workloads(options, SHAPES, lengths=False):
        yield figures("layers", work, threads, options)


def packed(options: argparse.Namespace) -> Iterator[Row]:
    """One layer on packed sequences, against PyTorch's packed layer and our padded one; lengths uniform in [T/4, T]."""
    for threads, work in workloads(options, PACKED_SHAPES, lengths=True):
        yield figures("packed", work, threads, options)
        with using_threads(threads):
            torch.manual_seed(0)
            layers = {name: own_layer(work) for name in ("packed", "padded")}
            sides = {"packed": side(layers["packed"], work), "padded": side(layers["padded"], without_lengths(work))}
            timings = race(sides, seconds=options.seconds, min_rounds=options.rounds)
        row = {"group": "packed or padded", **identity(work, threads), "share_of_matmul": None}
        row |= {"seriatim": timings.seconds("packed").to_json(), "torch": timings.seconds("padded").to_json()}
        yield row | {"ratio": timings.ratio("packed", "padded").to_json()}


def cells(options: argparse.Namespace) -> Iterator[Row]:
    """A cell in a Python loop over T steps."""
    for threads, work in workloads(options, CELL_SHAPES, lengths=False):
        with using_threads(threads):
            torch.manual_seed(0)
            size, precision = (work.inputs, work.hidden), PRECISIONS[work.dtype]
            their_cell = THEIR_CELLS[work.cell](*size).to(precision.dtype)
            our_cell = CELLS[work.cell](*size).to(precision.dtype)
            our_cell.load_state_dict(their_cell.state_dict())
            sides = {"seriatim": loop(our_cell, work), "torch": loop(their_cell, work)}
            peak = matmul_peak(precision.arithmetic)
            timings = race(sides, seconds=options.seconds, min_rounds=options.rounds)
        times = {name: timings.seconds(name).to_json() for name in sides}
        share = work.operations() / times["seriatim"]["median"] / peak
        row = {"group": "cells", **identity(work, threads), "share_of_matmul": share, **times}
        yield row | {"ratio": timings.ratio("seriatim", "torch").to_json()}


GROUPS = {"layers": layers, "packed": packed, "cells": cells}


def figures(group: str, work: Workload, threads: int, options: argparse.Namespace) -> Row:
    """Figures of one layer against PyTorch's layer."""
    measured = measure(work, threads=threads, seconds=options.seconds, min_rounds=options.rounds)
    return {"group": group, **measured.to_json(), **identity(work, threads)}


def identity(work: Workload, threads: int) -> Row:
    """The keys of a row that say what was measured."""
    return {
        "cell": work.cell, "shape": list(work.shape), "mode": work.mode, "dtype": work.dtype, "threads": threads,
        "runs_on": implementation_name(work), "torch_version": torch_version(),
    }  # fmt: skip


def own_layer(work: Workload) -> nn.Module:
    """A layer of ours for this work."""
    return LAYERS[work.cell](work.inputs, work.hidden).to(PRECISIONS[work.dtype].dtype)


def loop(cell: nn.Module, work: Workload) -> Side:
    """T steps of a cell in a Python loop."""
    precision = PRECISIONS[work.dtype]
    torch.manual_seed(1)
    x = torch.randn(work.steps, work.batch, work.inputs).to(precision.dtype)
    gradient = torch.randn(work.steps, work.batch, work.hidden).to(precision.arithmetic)
    weights = list(cell.parameters())

    def run_steps() -> Tensor:
        outputs, state = [], None
        with precision.context():
            for step in x:
                state = cell(step, state)
                outputs.append(state[0] if isinstance(state, tuple) else state)
            return torch.stack(outputs)

    def infer() -> None:
        with torch.no_grad():
            run_steps()

    def train() -> None:
        output = run_steps()
        output.backward(gradient.to(output.dtype))

    def prepare() -> None:
        change_weights(weights)
        x.grad = None

    if work.mode == "infer":
        return Side(infer)
    x.requires_grad_()
    return Side(train, prepare)


def workloads(
    options: argparse.Namespace, shapes: tuple[tuple[int, ...], ...], *, lengths: bool
) -> Iterator[tuple[int, Workload]]:
    """Every combination of the options. A single number as a shape selects from the group's own list, from 1."""
    selected = [shapes[shape[0] - 1] if len(shape) == 1 else shape for shape in options.shapes or shapes]
    for threads in options.threads:
        for dtype in options.dtypes:
            for mode in options.modes or (("train",) if lengths else ("train", "infer")):
                for cell in options.cells:
                    for shape in selected:
                        yield threads, Workload(cell, *shape, mode=mode, dtype=dtype, lengths=lengths)


def line(row: Row) -> str:
    """A row as a line of text."""
    label = (f"{row['group']:<17}{row['cell']:<5}{','.join(map(str, row['shape'])):<16}"
            f"{row['mode']:<6}{row['dtype']:<9}{row['threads']}t ")  # fmt: skip
    share = "" if row["share_of_matmul"] is None else f"  {percent(row['share_of_matmul'])} of mm"
    ours, theirs = (spread(row[name], duration) for name in ("seriatim", "torch"))
    return f"{label} {ours}  against {theirs}  ratio {ratio(row['ratio'])}{share}"


def show(rows: list[Row]) -> None:
    """Print tables of the ratios with geometric means, and the entries below 1."""
    for group in dict.fromkeys(row["group"] for row in rows):
        for threads in sorted({row["threads"] for row in rows if row["group"] == group}):
            table([row for row in rows if row["group"] == group and row["threads"] == threads])
    low = [row for row in rows if row["ratio"]["median"] < 1.0]
    print(f"{len(rows)} entries, {len(low)} below 1.0")
    for row in low:
        print("  " + line(row))


def table(rows: list[Row]) -> None:
    """Print one table: a row for each shape, a column for each mode, dtype and cell."""
    by = ("mode", "dtype", "cell")
    columns = sorted({tuple(row[name] for name in by) for row in rows}, key=itemgetter(1, 0, 2))
    shapes = list(dict.fromkeys(tuple(row["shape"]) for row in rows))
    rows_by_place = {(tuple(row["shape"]), *(row[name] for name in by)): row for row in rows}

    def cell(shape: tuple[int, ...], column: tuple[Any, ...]) -> str:
        row = rows_by_place.get((shape, *column))
        return "–" if row is None else f"{row['ratio']['median']:.2f}" + (" !" if row["ratio"]["median"] < 1 else "")

    body = [[", ".join(map(str, shape)), *(cell(shape, column) for column in columns)] for shape in shapes]
    average = means(rows, by, lambda row: row["ratio"]["median"])
    body.append(["geometric mean", *(f"**{average[column]:.2f}**" for column in columns)])
    against = "our padded ÷ our packed" if rows[0]["group"] == "packed or padded" else "torch.nn ÷ Seriatim"
    print(f"{rows[0]['group']}, {rows[0]['threads']} threads, {against} ({rows[0]['runs_on']})\n")
    print(markdown(["T, B, I, H", *(" ".join(column) for column in columns)], body) + "\n")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", nargs="+", default=list(GROUPS), choices=GROUPS)
    parser.add_argument("--shapes", nargs="+", type=numbers, help="T,B,I,H, or 1 … 5 to select one of the group's own")
    parser.add_argument("--cells", nargs="+", default=["rnn", "gru", "lstm"], choices=CELLS)
    parser.add_argument("--modes", nargs="+", choices=("train", "infer"), help="default: both; packed: train")
    parser.add_argument("--dtypes", nargs="+", default=["float32"], choices=PRECISIONS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=3.0, help="approximate time for each entry, both sides")
    parser.add_argument("--rounds", type=int, default=5, help="least number of rounds")
    parser.add_argument("--quick", action="store_true", help="half a second and 3 rounds for each entry")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here; other rows in the file stay")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the tables of a file and measure nothing")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = 0.5, 3
    return options


def numbers(text: str) -> tuple[int, ...]:
    """The numbers in a text such as ``100,32,128,128``."""
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    main()
