"""Each variant beside its plain cell, and a user's own cell beside our GRU: by turns in random order, in one process.

    python benchmarks/variants.py --group variants --seconds 3
    python benchmarks/variants.py --group own --shape 100 32 128 128
    python benchmarks/variants.py --group scans          minGRU and minLSTM beside a GRU of their size
    python benchmarks/variants.py --group slstm          sLSTM beside an LSTM of its size, and as plain operations

A training step is forward and backward with gradients of the input and of every weight, which change in place between
steps. A cost is time ÷ the plain cell's: of the fastest call of each, which other work on the machine disturbs least,
and the median over rounds with its quartiles.
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
"""What changes how a cell is trained."""
GOALS = {"recurrent dropout": 1.15, "zoneout": 1.15, "peephole": 1.15, "layer-norm": 1.5}
"""What a training step of a variant is to cost at most, times the plain cell's."""
CELLS = ("lstm", "gru", "rnn")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
PAGE = Path(__file__).parents[1] / "docs" / "own_cell.md"


def variants_of(cell: str, hidden: int) -> dict[str, dict[str, Any]]:
    """A layer's arguments for every variant of ``cell`` that there is; projected to half of the units."""
    found: dict[str, dict[str, Any]] = {"plain": {}}
    for name, settings in VARIANTS.items():
        if settings["kind"] == cell and len(settings) > 1:
            halved = {"proj_size": hidden // 2} if "proj_size" in settings else {}
            found[name.removeprefix(f"{cell} ")] = layer_arguments({**settings, **halved})
    return found | {name: dict(options) for name, options in MASKED.items()}


def shown() -> Maker:
    """The minimal gated unit (Zhou 2016), as the page about cells of one's own shows it."""
    page: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(block, str(PAGE), "exec"), page)
        if "MGU" in page:
            break
    maker: Maker = page["MGU"]
    return maker


def main() -> None:
    """Measure and print."""
    asked = asked_for()
    began = os.getloadavg()
    rows = []
    with using_threads(asked.threads):
        for row in GROUPS[asked.group](asked):
            rows.append(row)
            print(" | ".join(row), flush=True)
    print(f"\nload {began[0]:.1f} before, {os.getloadavg()[0]:.1f} after\n")
    print(markdown(["work", "side", "fastest call", "cost, fastest", "cost, median", "goal"], rows))


def variants(asked: argparse.Namespace) -> Iterator[list[str]]:
    """Each cell's variants beside the plain cell."""
    for cell in asked.cells:
        for mode in asked.modes:
            made = {
                name: LAYERS[cell](*asked.shape[2:], **options)
                for name, options in variants_of(cell, asked.shape[3]).items()
            }
            yield from compared(asked, cell, mode, made, "plain", GOALS if mode == "train" else {})


def own(asked: argparse.Namespace) -> Iterator[list[str]]:
    """A user's cell, compiled and step by step."""
    maker = shown()
    for mode in asked.modes:
        made = {
            "gru": LAYERS["gru"](*asked.shape[2:]),
            "own, compiled": Recurrent(maker, *asked.shape[2:], compile=True),
            "own, step by step": Recurrent(maker, *asked.shape[2:]),
        }
        x = torch.randn(asked.shape[0], asked.shape[1], asked.shape[2])
        began = time.perf_counter(), time.process_time()
        with torch.set_grad_enabled(mode == "train"):
            output = made["own, compiled"](x)[0]
        if mode == "train":
            output.sum().backward()
        print(
            f"compiled in {time.perf_counter() - began[0]:.1f} s, {time.process_time() - began[1]:.1f} s of this "
            "process's own"
        )
        yield from compared(asked, "gru", mode, made, "gru", {"own, compiled": 2.0})


def scans(asked: argparse.Namespace) -> Iterator[list[str]]:
    """Cells that a scan trains."""
    for mode in asked.modes:
        made = {name: LAYERS[name](*asked.shape[2:]) for name in ("gru", "mingru", "minlstm", "lru")}
        yield from compared(asked, "gru", mode, made, "gru", {"mingru": 1.0, "minlstm": 1.0})


class Composed(nn.Module):
    """A layer that runs as plain PyTorch operations."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        """As the layer."""
        with using("composed"):
            return self.layer(x)


def slstm(asked: argparse.Namespace) -> Iterator[list[str]]:
    """sLSTM in the engine and out of it."""
    for mode in asked.modes:
        made = {name: LAYERS[name](*asked.shape[2:]) for name in ("lstm", "slstm")}
        made["slstm, composed"] = Composed(LAYERS["slstm"](*asked.shape[2:]))
        yield from compared(asked, "lstm", mode, made, "lstm", {})


def compared(
    asked: argparse.Namespace, cell: str, mode: str, made: Mapping[str, nn.Module], plain: str,
    goals: Mapping[str, float],
) -> Iterator[list[str]]:  # fmt: skip
    """A row for each layer."""
    work = Workload(cell, *asked.shape, mode=mode)
    found: Race = race(
        {name: side(layer, work) for name, layer in made.items()}, seconds=asked.seconds * len(made),
        clock=CLOCKS[asked.clock],
    )  # fmt: skip
    least = {name: min(found.samples[name]) for name in made}
    for name in made:
        spread: Spread = found.ratio(plain, name)
        goal = goals.get(name)
        cost = least[name] / least[plain]
        yield [
            f"{cell}, {mode}", name, duration(least[name]), f"{cost:.2f}",
            f"{spread.median:.2f} [{spread.low:.2f} {spread.high:.2f}]",
            "" if goal is None else f"{goal:g}" + (" !" if cost > goal else ""),
        ]  # fmt: skip


GROUPS: Mapping[str, Callable[[argparse.Namespace], Iterator[list[str]]]] = {
    "variants": variants, "own": own, "scans": scans, "slstm": slstm
}  # fmt: skip


def asked_for() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", default="variants", choices=GROUPS)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=CELLS)
    parser.add_argument("--modes", nargs="+", default=["train", "infer"], choices=MODES)
    parser.add_argument("--shape", nargs=4, type=int, default=(100, 32, 128, 128), metavar=("T", "B", "I", "H"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", default="wall", choices=CLOCKS, help="processor: on a machine that is busy")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each side")
    return parser.parse_args()


if __name__ == "__main__":
    main()
