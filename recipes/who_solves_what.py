"""Which cell learns to remember, and in how many updates: the adding problem and copy memory (Hochreiter 1997).

    python recipes/who_solves_what.py --json figures.json --plot docs/who_solves_what.png
    python recipes/who_solves_what.py --show figures.json --plot docs/who_solves_what.png   draws what was run before

adding  T steps of two numbers: one drawn evenly between 0 and 1, the other 1 at a step of each half and 0 elsewhere.
        After the last step the sum of the two marked numbers is wanted. Loss: mean square error; always 1 gives 0.167.
copy    Ten symbols of eight, T blanks, of which the last asks, and ten steps to say the symbols again. Loss: cross
        entropy per symbol over those ten; guessing gives ln 8 = 2.079.

Every cell has the same surroundings: an affine map to 64 numbers and a ReLU before it, one layer of 64 units, an affine
map after it. Adam 2e-3, norms clipped to 1, 32 new sequences for every update, the same ones for every cell. A run ends
when it has solved its task (the mean loss of the last 50 updates is under 0.01 or 0.1), is no number any more, or has
used up its processor seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from seriatim.nn.initialisation import chrono_, identity_recurrent_
from seriatim.nn.recurrent import ring_
from seriatim.nn.registry import LAYERS

HIDDEN, ROWS, LR, EVERY = 64, 32, 2e-3, 50
SYMBOLS, LENGTH = 8, 10
GUESSING = {"adding": 1 / 6, "copy": float(np.log(SYMBOLS))}
SOLVED = {"adding": 0.01, "copy": 0.1}

Row = dict[str, Any]
Batch = tuple[Tensor, Tensor]


def adding(draw: torch.Generator, steps: int) -> Batch:
    """x [T, B, 2] and the sums [1, B, 1]."""
    values = torch.rand(steps, ROWS, generator=draw)
    marks = torch.zeros(steps, ROWS)
    for first, last in ((0, steps // 2), (steps // 2, steps)):
        marks.scatter_(0, torch.randint(first, last, (1, ROWS), generator=draw), 1.0)
    return torch.stack([values, marks], -1), (values * marks).sum(0)[None, :, None]


def copying(draw: torch.Generator, steps: int) -> Batch:
    """One of ten [T + 20, B, 10], and the symbols [10, B]."""
    symbols = torch.randint(SYMBOLS, (LENGTH, ROWS), generator=draw)
    read = torch.full((steps + 2 * LENGTH, ROWS), SYMBOLS)
    read[:LENGTH] = symbols
    read[steps + LENGTH - 1] = SYMBOLS + 1
    return nn.functional.one_hot(read, SYMBOLS + 2).float(), symbols


TASKS: dict[str, Callable[[torch.Generator, int], Batch]] = {"adding": adding, "copy": copying}


def start(kind: str, **options: Any) -> Callable[[int], nn.Module]:
    """A layer as it starts."""
    return lambda steps: LAYERS[kind](HIDDEN, HIDDEN, **options)


def relu_identity(steps: int) -> nn.Module:
    """W_hh = 1, so that a state stays what it is (Le 2015)."""
    layer = LAYERS["rnn"](HIDDEN, HIDDEN, nonlinearity="relu")
    identity_recurrent_(layer)
    return layer


def lstm_chrono(steps: int) -> nn.Module:
    """An LSTM whose units remember for up to T steps."""
    layer = LAYERS["lstm"](HIDDEN, HIDDEN)
    chrono_(layer, steps)
    return layer


def long_lru(steps: int) -> nn.Module:
    """An LRU whose λ have a size of 0.99 to 0.9999."""
    layer = LAYERS["lru"](HIDDEN, HIDDEN)
    ring_(layer.decay_l0, 0.99, 0.9999)
    return layer


CELLS: dict[str, Callable[[int], nn.Module]] = {
    "rnn-tanh": start("rnn"),
    "rnn-relu-identity": relu_identity,
    "lstm": start("lstm"),
    "lstm-chrono": lstm_chrono,
    "gru": start("gru"),
    "mingru": start("mingru"),
    "minlstm": start("minlstm"),
    "slstm": start("slstm"),
    "lru": long_lru,
}


class Network(nn.Module):
    """What stands around every cell."""

    def __init__(self, inputs: int, layer: nn.Module, outputs: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU())
        self.layer = layer
        self.after = nn.Linear(HIDDEN, outputs)

    def forward(self, x: Tensor, last: int) -> Tensor:
        """x [T, B, C] → what is said at the ``last`` steps, [·, B, ·]."""
        states, _ = self.layer(self.before(x))
        return self.after(states[-last:])  # type: ignore[no-any-return]


def run(task: str, steps: int, cell: str, seed: int, seconds: float) -> Row:
    """Train one cell; ``losses`` are means over every 50 updates."""
    torch.manual_seed(seed)
    network = Network(*((2, CELLS[cell](steps), 1) if task == "adding" else (SYMBOLS + 2, CELLS[cell](steps), SYMBOLS)))
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    draw = torch.Generator().manual_seed(1000 + seed)
    losses: list[float] = []
    total, updates, began = 0.0, 0, time.process_time()
    while time.process_time() - began < seconds:
        x, wanted = TASKS[task](draw, steps)
        said = network(x, len(wanted))
        if task == "adding":
            loss = (said - wanted).square().mean()
        else:
            loss = cross_entropy(said.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        total, updates = total + float(loss.detach()), updates + 1
        if updates % EVERY == 0:
            losses.append(total / EVERY)
            total = 0.0
            if not losses[-1] >= SOLVED[task]:  # solved, or no number any more
                break
    used = time.process_time() - began
    found = losses[-1] if losses else float("nan")
    return {"task": task, "steps": steps, "cell": cell, "seed": seed, "updates": updates, "seconds": round(used, 1),
            "limit": seconds, "solved": found < SOLVED[task], "loss": found, "losses": losses}  # fmt: skip


def wanted_runs(asked: argparse.Namespace, there: list[Row]) -> Iterator[Row]:
    """Run what is not there yet."""
    known = {(row["task"], row["steps"], row["cell"], row["seed"]) for row in there}
    for steps in asked.steps:
        for seed in asked.seeds:
            for task in asked.tasks:
                for cell in asked.cells:
                    if (task, steps, cell, seed) not in known:
                        yield run(task, steps, cell, seed, asked.seconds)


def table(rows: list[Row]) -> str:
    """Updates to the solution by seed, or the loss where there was none, as Markdown."""
    columns = sorted({(row["task"], row["steps"]) for row in rows})
    heads = [f"{task}, T = {steps}" for task, steps in columns]
    lines = [f"| cell | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for cell in CELLS:
        found = [
            sorted((row for row in rows if (row["task"], row["steps"], row["cell"]) == (*column, cell)),
                   key=lambda row: row["seed"])
            for column in columns
        ]  # fmt: skip
        lines.append(f"| {cell} | " + " | ".join("; ".join(map(told, one)) or "–" for one in found) + " |")
    return "\n".join(lines)


def told(row: Row) -> str:
    """``solved in 1,250 (8 s)``, ``0.164 after 3,800``, or ``no number from 250 on``."""
    lost = [EVERY * number for number, loss in enumerate(row["losses"], 1) if np.isnan(loss)]
    if lost:
        return f"no number from {lost[0]:,} on"
    if row["solved"]:
        return f"**solved in {row['updates']:,}** ({row['seconds']:.0f} s)"
    return f"{row['loss']:.3g} after {row['updates']:,}"


def draw_rows(rows: list[Row], file: Path) -> None:
    """Loss over updates, a small picture for each cell and task."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = sorted({(row["task"], row["steps"]) for row in rows})
    figure, panels = plt.subplots(
        len(columns), len(CELLS), figsize=(1.75 * len(CELLS), 1.9 * len(columns)), squeeze=False, sharex="row",
        sharey="row", layout="constrained",
    )  # fmt: skip
    for (task, steps), line in zip(columns, panels, strict=True):
        for cell, panel in zip(CELLS, line, strict=True):
            for row in rows:
                if (row["task"], row["steps"], row["cell"]) == (task, steps, cell):
                    updates = EVERY * np.arange(1, len(row["losses"]) + 1)
                    panel.plot(updates, row["losses"], color=f"C{row['seed']}", linewidth=1)
                    if row["solved"]:
                        panel.plot(
                            updates[-1], row["losses"][-1], "o", color=f"C{row['seed']}", markersize=4, clip_on=False
                        )
            panel.axhline(GUESSING[task], color="grey", linestyle=":", linewidth=1)
            panel.set_yscale("log")
            panel.set_xscale("log")
            panel.set_ylim(SOLVED[task] / 10, GUESSING[task] * 3)
            panel.grid(alpha=0.25)
            panel.tick_params(labelsize=7)
        line[0].set_ylabel(f"{task}, T = {steps}\nloss", fontsize=9)
    for cell, panel in zip(CELLS, panels[0], strict=True):
        panel.set_title(cell, fontsize=9)
    for panel in panels[-1]:
        panel.set_xlabel("updates", fontsize=8)
    figure.suptitle("Who solves what (dot: solved; dotted line: guessing; one colour a seed)", fontsize=10)
    figure.savefig(file, dpi=130)


def main() -> None:
    """Run, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=CELLS)
    parser.add_argument("--steps", nargs="+", type=int, default=[100, 500], metavar="T")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--seconds", type=float, default=120.0, help="of processor time for a run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here; runs there are not repeated")
    parser.add_argument("--show", type=Path, metavar="FILE", help="take the figures from here and run nothing")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    kept = asked.show or asked.json
    rows: list[Row] = json.loads(kept.read_text(encoding="utf-8")) if kept and kept.exists() else []
    for row in () if asked.show else wanted_runs(asked, rows):
        rows.append(row)
        print(f"{row['task']:<7} T = {row['steps']:<4} {row['cell']:<18} seed {row['seed']}  {told(row)}", flush=True)
        if asked.json:
            asked.json.write_text(json.dumps(rows) + "\n", encoding="utf-8")
    print("\n" + table(rows))
    if asked.plot:
        draw_rows(rows, asked.plot)


if __name__ == "__main__":
    main()
