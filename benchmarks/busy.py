"""Training and inference of layers while other processes keep the processors busy, Seriatim and torch.nn by turns.

    scripts/bench busy
    python benchmarks/busy.py --threads 2 --busy 0 1 --nice -20 --shapes lstm:64,16,64,256 gru:35,20,650,650

A busy process counts in a loop. It has the priority of this process, or that of ``--nice`` if this process may set it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from _report import Report, duration, markdown, ratio

from seriatim import nn
from seriatim.bench.paired_timing import Side, race

BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    for _ in range(1000000): pass"
"""It ends when its parent has ended."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shapes", nargs="+", metavar="CELL:T,B,I,H",
        default=["lstm:64,16,64,256", "gru:64,16,64,256", "lstm:100,32,128,128", 
                 "gru:100,32,128,128", "gru:35,20,650,650"],
    )  # fmt: skip
    parser.add_argument("--modes", nargs="+", choices=["train", "infer"], default=["train"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--busy", nargs="+", type=int, default=[0, 1], help="numbers of busy processes")
    parser.add_argument("--nice", type=int, help="priority of this process and of the busy ones")
    parser.add_argument("--seconds", type=float, default=6.0, help="time for each line")
    parser.add_argument("--json", type=Path, help="collect the rows in this file")
    arguments = parser.parse_args()
    if arguments.nice is not None:
        os.setpriority(os.PRIO_PROCESS, 0, arguments.nice)  # type: ignore[attr-defined,unused-ignore]
    torch.set_num_threads(arguments.threads)
    report = Report(("cell", "shape", "mode", "threads", "busy"), arguments.json)
    for shape in arguments.shapes:
        cell, _, sizes = shape.partition(":")
        for mode in arguments.modes:
            pair = {side: Side(work(module, sizes, mode)) for side, module in layers(cell, sizes).items()}
            for busy in arguments.busy:
                with busy_processes(busy):
                    result = race(pair, seconds=arguments.seconds)
                row = {"cell": cell, "shape": sizes, "mode": mode, "threads": arguments.threads, "busy": busy}
                row |= {side: result.seconds(side).to_json() for side in pair}
                row["ratio"] = result.ratio("seriatim", "torch").to_json()
                report.add(row)
                print(*_line(row), file=sys.stderr)
    print(markdown(["cell", "T, B, I, H", "mode", "busy processes", "torch.nn", "Seriatim", "torch.nn ÷ Seriatim"],
                   [_line(row) for row in report.rows]))  # fmt: skip


def layers(cell: str, sizes: str) -> dict[str, torch.nn.Module]:
    """PyTorch's layer and ours, with the same weights."""
    _, _, inputs, hidden = map(int, sizes.split(","))
    plain = getattr(torch.nn, cell.upper())(inputs, hidden)
    ours = getattr(nn, cell.upper())(inputs, hidden)
    ours.load_state_dict(plain.state_dict())
    return {"torch": plain, "seriatim": ours}


def work(layer, sizes: str, mode: str):
    """One call of the layer; in training also the gradient of all weights and of the input."""
    steps, rows, inputs, _ = map(int, sizes.split(","))
    x = torch.randn(steps, rows, inputs, requires_grad=mode == "train")

    def train():
        layer.zero_grad()
        layer(x)[0].sum().backward()

    def infer():
        with torch.no_grad():
            layer(x)

    return train if mode == "train" else infer


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep ``count`` processors busy."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _line(row) -> list[str]:
    times = [duration(row[side]["median"]) for side in ("torch", "seriatim")]
    shape = row["shape"].replace(",", ", ")
    return [row["cell"].upper(), shape, row["mode"], str(row["busy"]), *times, ratio(row["ratio"])]


if __name__ == "__main__":
    main()
