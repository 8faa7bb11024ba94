"""The layers and cells against ``torch.nn``'s: paired in one process, by turns in random order.

    python benchmarks/recurrence.py --group layers --dtypes float32 --threads 2 --json figures.json
    python benchmarks/recurrence.py --group packed
    python benchmarks/recurrence.py --group cells
    python benchmarks/recurrence.py --show figures.json        the tables of what is in the file, nothing is run

Times are medians with quartiles; a ratio is the median over rounds of theirs ÷ ours, so above 1 is faster than
PyTorch. The share is of what ``torch.mm`` of two 1024 × 1024 matrices reached just before and after: a proxy for the
peak of the multiply-add units, near to it. Training is forward and backward with gradients of the input and of every
weight, and the weights change in place between steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
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

SHAPES = ((35, 20, 650, 650), (100, 32, 128, 128), (365, 256, 32, 256), (512, 64, 256, 512), (100, 1, 64, 64))
"""(T, B, I, H)."""
PACKED_SHAPES = ((100, 32, 128, 128), (365, 64, 64, 256))
CELL_SHAPES = ((100, 1, 128, 128), (100, 32, 128, 128))
THEIR_CELLS = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
IDENTITY = ("group", "cell", "shape", "mode", "dtype", "threads")


def main() -> None:
    """Measure and print."""
    asked = arguments()
    report = Report(IDENTITY, asked.json)
    if asked.show:
        show(read(asked.show))
        return
    for group in asked.group:
        for row in GROUPS[group](asked):
            report.add(row)
            print(line(row), flush=True)
    print()
    show(report.rows)


def layers(asked: argparse.Namespace) -> Iterator[Row]:
    """Padded sequences through one layer."""
    for threads, work in workloads(asked, SHAPES, lengths=False):
        yield figures("layers", work, threads, asked)


def packed(asked: argparse.Namespace) -> Iterator[Row]:
    """Lengths uniform in [T/4, T]: packed against torch's packed, and against our own padded."""
    for threads, work in workloads(asked, PACKED_SHAPES, lengths=True):
        yield figures("packed", work, threads, asked)
        with using_threads(threads):
            torch.manual_seed(0)
            layers = {name: own_layer(work) for name in ("packed", "padded")}
            sides = {"packed": side(layers["packed"], work), "padded": side(layers["padded"], without_lengths(work))}
            found = race(sides, seconds=asked.seconds, min_rounds=asked.rounds)
        row = {"group": "packed or padded", **described(work, threads), "share_of_matmul": None}
        row |= {"seriatim": found.seconds("packed").to_json(), "torch": found.seconds("padded").to_json()}
        yield row | {"ratio": found.ratio("packed", "padded").to_json()}


def cells(asked: argparse.Namespace) -> Iterator[Row]:
    """A cell in a Python loop over T steps."""
    for threads, work in workloads(asked, CELL_SHAPES, lengths=False):
        with using_threads(threads):
            torch.manual_seed(0)
            size, precision = (work.inputs, work.hidden), PRECISIONS[work.dtype]
            theirs = THEIR_CELLS[work.cell](*size).to(precision.dtype)
            ours = CELLS[work.cell](*size).to(precision.dtype)
            ours.load_state_dict(theirs.state_dict())
            sides = {"seriatim": loop(ours, work), "torch": loop(theirs, work)}
            peak = matmul_peak(precision.arithmetic)
            found = race(sides, seconds=asked.seconds, min_rounds=asked.rounds)
        times = {name: found.seconds(name).to_json() for name in sides}
        share = work.operations() / times["seriatim"]["median"] / peak
        row = {"group": "cells", **described(work, threads), "share_of_matmul": share, **times}
        yield row | {"ratio": found.ratio("seriatim", "torch").to_json()}


GROUPS = {"layers": layers, "packed": packed, "cells": cells}


def figures(group: str, work: Workload, threads: int, asked: argparse.Namespace) -> Row:
    """One workload of a layer against torch's."""
    measured = measure(work, threads=threads, seconds=asked.seconds, min_rounds=asked.rounds)
    return {"group": group, **measured.to_json(), **described(work, threads)}


def described(work: Workload, threads: int) -> Row:
    """What a row is about."""
    return {
        "cell": work.cell, "shape": list(work.shape), "mode": work.mode, "dtype": work.dtype, "threads": threads,
        "runs_on": implementation_name(work), "torch_version": torch_version(),
    }  # fmt: skip


def own_layer(work: Workload) -> nn.Module:
    """One of our layers."""
    return LAYERS[work.cell](work.inputs, work.hidden).to(PRECISIONS[work.dtype].dtype)


def loop(cell: nn.Module, work: Workload) -> Side:
    """T steps of a cell, as a program that writes its own loop takes them."""
    precision = PRECISIONS[work.dtype]
    torch.manual_seed(1)
    x = torch.randn(work.steps, work.batch, work.inputs).to(precision.dtype)
    gradient = torch.randn(work.steps, work.batch, work.hidden).to(precision.arithmetic)
    weights = list(cell.parameters())

    def walk() -> Tensor:
        outputs, state = [], None
        with precision.context():
            for one in x:
                state = cell(one, state)
                outputs.append(state[0] if isinstance(state, tuple) else state)
            return torch.stack(outputs)

    def infer() -> None:
        with torch.no_grad():
            walk()

    def train() -> None:
        output = walk()
        output.backward(gradient.to(output.dtype))

    def prepare() -> None:
        change_weights(weights)
        x.grad = None

    if work.mode == "infer":
        return Side(infer)
    x.requires_grad_()
    return Side(train, prepare)


def workloads(
    asked: argparse.Namespace, shapes: tuple[tuple[int, ...], ...], *, lengths: bool
) -> Iterator[tuple[int, Workload]]:
    """Every combination that is asked for; a number among the shapes stands for a place in the group's own list."""
    chosen = [shapes[one[0] - 1] if len(one) == 1 else one for one in asked.shapes] if asked.shapes else shapes
    for threads in asked.threads:
        for dtype in asked.dtypes:
            for mode in asked.modes or (("train",) if lengths else ("train", "infer")):
                for cell in asked.cells:
                    for shape in chosen:
                        yield threads, Workload(cell, *shape, mode=mode, dtype=dtype, lengths=lengths)


def line(row: Row) -> str:
    """A row as it is measured."""
    what = (f"{row['group']:<17}{row['cell']:<5}{','.join(map(str, row['shape'])):<16}"
            f"{row['mode']:<6}{row['dtype']:<9}{row['threads']}t ")  # fmt: skip
    share = "" if row["share_of_matmul"] is None else f"  {row['share_of_matmul']:.0%} of mm"
    ours, theirs = (spread(row[name], duration) for name in ("seriatim", "torch"))
    return f"{what} {ours}  against {theirs}  ratio {ratio(row['ratio'])}{share}"


def show(rows: list[Row]) -> None:
    """Tables of the ratios, a geometric mean under each column, and what is below 1."""
    for group in dict.fromkeys(row["group"] for row in rows):
        for threads in sorted({row["threads"] for row in rows if row["group"] == group}):
            table([row for row in rows if row["group"] == group and row["threads"] == threads])
    low = [row for row in rows if row["ratio"]["median"] < 1.0]
    print(f"{len(rows)} entries, {len(low)} below 1.0")
    for row in low:
        print("  " + line(row))


def table(rows: list[Row]) -> None:
    """One table: shapes down, cell × mode × dtype across."""
    by = ("mode", "dtype", "cell")
    columns = sorted({tuple(row[name] for name in by) for row in rows}, key=lambda one: (one[1], one[0], one[2]))
    shapes = list(dict.fromkeys(tuple(row["shape"]) for row in rows))
    found = {(tuple(row["shape"]), *(row[name] for name in by)): row for row in rows}

    def cell(shape: tuple[int, ...], column: tuple[Any, ...]) -> str:
        row = found.get((shape, *column))
        return "–" if row is None else f"{row['ratio']['median']:.2f}" + (" !" if row["ratio"]["median"] < 1 else "")

    body = [[", ".join(map(str, shape)), *(cell(shape, column) for column in columns)] for shape in shapes]
    average = means(rows, by, lambda row: row["ratio"]["median"])
    body.append(["geometric mean", *(f"**{average[column]:.2f}**" for column in columns)])
    against = "our padded ÷ our packed" if rows[0]["group"] == "packed or padded" else "torch.nn ÷ Seriatim"
    print(f"{rows[0]['group']}, {rows[0]['threads']} threads, {against} ({rows[0]['runs_on']})\n")
    print(markdown(["T, B, I, H", *(" ".join(column) for column in columns)], body) + "\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", nargs="+", default=list(GROUPS), choices=GROUPS)
    parser.add_argument("--shapes", nargs="+", type=numbers, help="T,B,I,H, or 1 … 5 for one of the group's own")
    parser.add_argument("--cells", nargs="+", default=["rnn", "gru", "lstm"], choices=CELLS)
    parser.add_argument("--modes", nargs="+", choices=("train", "infer"), help="default: both; packed: train")
    parser.add_argument("--dtypes", nargs="+", default=["float32"], choices=PRECISIONS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=3.0, help="about so long for each entry (both sides together)")
    parser.add_argument("--rounds", type=int, default=5, help="at least so many rounds")
    parser.add_argument("--quick", action="store_true", help="half a second and 3 rounds for each entry")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here; rows there already stay")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the tables of a file and run nothing")
    asked = parser.parse_args()
    if asked.quick:
        asked.seconds, asked.rounds = 0.5, 3
    return asked


def numbers(text: str) -> tuple[int, ...]:
    """``100,32,128,128`` → its numbers."""
    return tuple(int(one) for one in text.split(","))


if __name__ == "__main__":
    main()
