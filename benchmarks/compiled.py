"""The gain of ``torch.compile`` for a network of two recurrent layers and a head, plain and accelerated.

scripts/bench compiled
python benchmarks/compiled.py --cells gru --shape 50,16,32,128
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
import time
from pathlib import Path
from unittest import mock

import torch
from _report import Report, duration, markdown, spread
from torch import nn

import seriatim
from seriatim.bench.paired_timing import Side, race

SIDES = ("plain eager", "plain compiled", "accelerated eager", "accelerated compiled")


class Network(nn.Module):
    """Two recurrent layers and a head on the last output."""

    def __init__(self, cell: str, inputs: int, hidden: int):
        super().__init__()
        self.layers = getattr(nn, cell.upper())(inputs, hidden, num_layers=2)
        self.head = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.head(self.layers(x)[0][-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", choices=["rnn", "lstm", "gru"], default=["lstm", "gru"])
    parser.add_argument("--shape", default="50,16,32,128", metavar="T,B,I,H")
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6.0, help="time for each cell")
    parser.add_argument("--json", type=Path, help="collect the rows in this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with (
        tempfile.TemporaryDirectory() as folder,  # an empty cache, so that the first call compiles
        mock.patch.dict(os.environ, {"TORCHINDUCTOR_CACHE_DIR": folder}),
    ):
        measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Time all networks by turns, and print the table."""
    steps, rows, inputs, hidden = map(int, arguments.shape.split(","))
    x = torch.randn(steps, rows, inputs)
    report = Report(("cell", "shape", "side", "threads"), arguments.json)
    for cell in arguments.cells:
        plain = Network(cell, inputs, hidden)
        calls, first = {}, {}
        for side in SIDES:
            network = copy.deepcopy(plain)
            if side.startswith("accelerated"):
                seriatim.accelerate(network)
            if side.endswith("compiled"):
                network = torch.compile(network, backend=arguments.backend)
            calls[side] = update(network, x)
            began = time.perf_counter()
            calls[side]()
            first[side] = time.perf_counter() - began
        result = race({side: Side(call) for side, call in calls.items()}, seconds=arguments.seconds)
        for side in SIDES:
            row = {
                "cell": cell,
                "shape": arguments.shape,
                "side": side,
                "threads": arguments.threads,
                "first": first[side],
            }
            row |= {"seconds": result.seconds(side).to_json(), "ratio": result.ratio(side, SIDES[0]).to_json()}
            report.add(row)
    lines = [
        [row["cell"].upper(), row["side"], duration(row["first"]), duration(row["seconds"]["median"]),
         spread(row["ratio"], lambda value: f"{value:.2f}")]
        for row in report.rows
    ]  # fmt: skip
    print(markdown(["cell", "network", "first call", "update", "plain eager ÷ this"], lines))


def update(network, x):
    """One call with the gradient of all weights."""

    def call():
        network.zero_grad()
        network(x).square().mean().backward()

    return call


if __name__ == "__main__":
    main()
