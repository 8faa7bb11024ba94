"""Each variant against its plain cell, and a custom cell against our GRU: in one process, in alternation.

    python benchmarks/variants.py --group variants --seconds 3
    python benchmarks/variants.py --group own --shape 100 32 128 128
    python benchmarks/variants.py --group scans          minGRU and minLSTM against a GRU of their size
    python benchmarks/variants.py --group slstm          sLSTM against an LSTM of its size, and as plain operations

A training step is forward and backward with gradients of the input and of every weight. The weights change in place
between steps. A cost is time ÷ the plain cell's time: for the fastest call of each, which other work on the machine
disturbs least, and as the median over rounds with its quartiles.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from _report import duration, markdown
from torch import nn

from seriatim.bench.layer_timing import MODES, Workload, side, using_threads
from seriatim.bench.paired_timing import Race, Spread, race
from seriatim.nn import Recurrent
from seriatim.nn.custom_cell import Maker
from seriatim.nn.registry import LAYERS, layer_arguments
from seriatim.ops.recurrence import using
from seriatim.spec import VARIANTS

MASKED: Mapping[str, Mapping[str, Any]] = {
    "recurrent dropout": {"recurrent_dropout": 0.2},
    "zoneout": {"zoneout": 0.1},
    "weight drop": {"weight_drop": 0.2},
}
"""Options that change how a cell is trained."""
GOALS = {"recurrent dropout": 1.15, "zoneout": 1.15, "peephole": 1.15, "layer-norm": 1.5}
"""Upper limit for the cost of a training step of a variant."""
CELLS = ("lstm", "gru", "rnn")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
PAGE = Path(__file__).parents[1] / "docs" / "own_cell.md"


def variants_of(cell: str, hidden: int) -> dict[str, dict[str, Any]]:
    """A layer's arguments for every variant of ``cell``. A projection is to half of the units."""
    arguments: dict[str, dict[str, Any]] = {"plain": {}}
    for name, settings in VARIANTS.items():
        if settings["kind"] == cell and len(settings) > 1:
            halved = {"proj_size": hidden // 2} if "proj_size" in settings else {}
            arguments[name.removeprefix(f"{cell} ")] = layer_arguments({**settings, **halved})
    return arguments | {name: dict(options) for name, options in MASKED.items()}


def minimal_gated_unit() -> Maker:
    """The minimal gated unit (Zhou 2016), from the page about custom cells."""
    page: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(block, str(PAGE), "exec"), page)
        if "MGU" in page:
            break
    maker: Maker = page["MGU"]
    return maker


def main() -> None:
    """Measure and print."""
    options = parse_arguments()
    load = os.getloadavg()[0]
    rows = []
    with using_threads(options.threads):
        for row in GROUPS[options.group](options):
            rows.append(row)
            print(" | ".join(row), flush=True)
    print(f"\nload {load:.1f} before, {os.getloadavg()[0]:.1f} after\n")
    print(markdown(["work", "side", "fastest call", "cost, fastest", "cost, median", "goal"], rows))


def variants(options: argparse.Namespace) -> Iterator[list[str]]:
    """Measure each cell's variants against the plain cell."""
    for cell in options.cells:
        for mode in options.modes:
            layers = {
                name: LAYERS[cell](*options.shape[2:], **variant)
                for name, variant in variants_of(cell, options.shape[3]).items()
            }
            yield from measure_layers(options, cell, mode, layers, "plain", GOALS if mode == "train" else {})


def custom(options: argparse.Namespace) -> Iterator[list[str]]:
    """Measure a custom cell, compiled and step by step."""
    maker = minimal_gated_unit()
    for mode in options.modes:
        layers = {
            "gru": LAYERS["gru"](*options.shape[2:]),
            "own, compiled": Recurrent(maker, *options.shape[2:], compile=True),
            "own, step by step": Recurrent(maker, *options.shape[2:]),
        }
        x = torch.randn(options.shape[0], options.shape[1], options.shape[2])
        start = time.perf_counter(), time.process_time()
        with torch.set_grad_enabled(mode == "train"):
            output = layers["own, compiled"](x)[0]
        if mode == "train":
            output.sum().backward()
        seconds, own_seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        print(f"compiled in {seconds:.1f} s, {own_seconds:.1f} s of them in this process")
        yield from measure_layers(options, "gru", mode, layers, "gru", {"own, compiled": 2.0})


def scans(options: argparse.Namespace) -> Iterator[list[str]]:
    """Measure the cells that a scan computes."""
    for mode in options.modes:
        layers = {name: LAYERS[name](*options.shape[2:]) for name in ("gru", "mingru", "minlstm", "lru")}
        yield from measure_layers(options, "gru", mode, layers, "gru", {"mingru": 1.0, "minlstm": 1.0})


class Composed(nn.Module):
    """A layer that runs as plain PyTorch operations."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        """Run the layer with composed steps."""
        with using("composed"):
            return self.layer(x)


def slstm(options: argparse.Namespace) -> Iterator[list[str]]:
    """Measure sLSTM in the engine and as composed steps."""
    for mode in options.modes:
        layers = {name: LAYERS[name](*options.shape[2:]) for name in ("lstm", "slstm")}
        layers["slstm, composed"] = Composed(LAYERS["slstm"](*options.shape[2:]))
        yield from measure_layers(options, "lstm", mode, layers, "lstm", {})


def measure_layers(
    options: argparse.Namespace, cell: str, mode: str, layers: Mapping[str, nn.Module], plain_name: str,
    goals: Mapping[str, float],
) -> Iterator[list[str]]:  # fmt: skip
    """Time the layers in alternation; returns a row for each."""
    work = Workload(cell, *options.shape, mode=mode)
    timings: Race = race(
        {name: side(layer, work) for name, layer in layers.items()}, seconds=options.seconds * len(layers),
        clock=CLOCKS[options.clock],
    )  # fmt: skip
    fastest = {name: min(timings.samples[name]) for name in layers}
    for name in layers:
        spread: Spread = timings.ratio(plain_name, name)
        goal = goals.get(name)
        cost = fastest[name] / fastest[plain_name]
        yield [
            f"{cell}, {mode}", name, duration(fastest[name]), f"{cost:.2f}",
            f"{spread.median:.2f} [{spread.low:.2f} {spread.high:.2f}]",
            "" if goal is None else f"{goal:g}" + (" !" if cost > goal else ""),
        ]  # fmt: skip


GROUPS: Mapping[str, Callable[[argparse.Namespace], Iterator[list[str]]]] = {
    "variants": variants, "own": custom, "scans": scans, "slstm": slstm
}  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", default="variants", choices=GROUPS)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=CELLS)
    parser.add_argument("--modes", nargs="+", default=["train", "infer"], choices=MODES)
    parser.add_argument("--shape", nargs=4, type=int, default=(100, 32, 128, 128), metavar=("T", "B", "I", "H"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", default="wall", choices=CLOCKS, help="processor: for a busy machine")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each side")
    return parser.parse_args()


if __name__ == "__main__":
    main()
