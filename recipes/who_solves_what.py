"""Which cell learns to remember, and in how many updates: the adding problem and copy memory (Hochreiter 1997).

    python recipes/who_solves_what.py --json figures.json --plot docs/who_solves_what.png
    python recipes/who_solves_what.py --show figures.json --plot docs/who_solves_what.png   draws earlier runs

adding  T steps of two numbers: a random number between 0 and 1, and a mark that is 1 at one step of each half and 0
        elsewhere. The target after the last step is the sum of the two marked numbers. Loss: mean square error; always
        predicting 1 gives 0.167.
copy    Ten symbols of eight, T blanks, the last of them a signal, and ten steps to repeat the symbols. Loss: cross
        entropy per symbol over those ten; guessing gives ln 8 = 2.079.

Every cell is in the same network: an affine map to 64 numbers and a ReLU, one layer of 64 units, and an affine map.
Adam 2e-3, gradient norms clipped to 1, 32 new sequences for every update, the same for every cell. A run ends when it
has solved its task (the mean loss of the last 50 updates is below 0.01 or 0.1), when the loss is not a number, or
when its processor time is used up.
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

HIDDEN, ROWS, LR, AVERAGED = 64, 32, 2e-3, 50
SYMBOLS, LENGTH = 8, 10
GUESSING = {"adding": 1 / 6, "copy": float(np.log(SYMBOLS))}
SOLVED = {"adding": 0.01, "copy": 0.1}

Row = dict[str, Any]
Batch = tuple[Tensor, Tensor]


def adding(generator: torch.Generator, steps: int) -> Batch:
    """x [T, B, 2] and the sums [1, B, 1]."""
    values = torch.rand(steps, ROWS, generator=generator)
    marks = torch.zeros(steps, ROWS)
    for first, last in ((0, steps // 2), (steps // 2, steps)):
        marks.scatter_(0, torch.randint(first, last, (1, ROWS), generator=generator), 1.0)
    return torch.stack([values, marks], -1), (values * marks).sum(0)[None, :, None]


def copying(generator: torch.Generator, steps: int) -> Batch:
    """Inputs as one of ten [T + 20, B, 10], and the symbols [10, B]."""
    symbols = torch.randint(SYMBOLS, (LENGTH, ROWS), generator=generator)
    read = torch.full((steps + 2 * LENGTH, ROWS), SYMBOLS)
    read[:LENGTH] = symbols
    read[steps + LENGTH - 1] = SYMBOLS + 1
    return nn.functional.one_hot(read, SYMBOLS + 2).float(), symbols


TASKS: dict[str, Callable[[torch.Generator, int], Batch]] = {"adding": adding, "copy": copying}


def plain_layer(kind: str, **options: Any) -> Callable[[int], nn.Module]:
    """A layer as it starts."""
    return lambda steps: LAYERS[kind](HIDDEN, HIDDEN, **options)


def relu_identity(steps: int) -> nn.Module:
    """A ReLU RNN with the identity as W_hh, so that a state stays unchanged without input (Le 2015)."""
    layer = LAYERS["rnn"](HIDDEN, HIDDEN, nonlinearity="relu")
    identity_recurrent_(layer)
    return layer


def lstm_chrono(steps: int) -> nn.Module:
    """An LSTM with chrono initialisation: its units remember for up to T steps."""
    layer = LAYERS["lstm"](HIDDEN, HIDDEN)
    chrono_(layer, steps)
    return layer


def long_lru(steps: int) -> nn.Module:
    """An LRU with |λ| from 0.99 to 0.9999."""
    layer = LAYERS["lru"](HIDDEN, HIDDEN)
    ring_(layer.decay_l0, 0.99, 0.9999)
    return layer


CELLS: dict[str, Callable[[int], nn.Module]] = {
    "rnn-tanh": plain_layer("rnn"),
    "rnn-relu-identity": relu_identity,
    "lstm": plain_layer("lstm"),
    "lstm-chrono": lstm_chrono,
    "gru": plain_layer("gru"),
    "mingru": plain_layer("mingru"),
    "minlstm": plain_layer("minlstm"),
    "slstm": plain_layer("slstm"),
    "lru": long_lru,
}


class Network(nn.Module):
    """The network around every cell."""

    def __init__(self, inputs: int, layer: nn.Module, outputs: int) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU())
        self.layer = layer
        self.output_layer = nn.Linear(HIDDEN, outputs)

    def forward(self, x: Tensor, last: int) -> Tensor:
        """x [T, B, C] → outputs at the ``last`` steps, [·, B, ·]."""
        states, _ = self.layer(self.input_layer(x))
        return self.output_layer(states[-last:])  # type: ignore[no-any-return]


def run(task: str, steps: int, cell: str, seed: int, seconds: float) -> Row:
    """Train one cell; ``losses`` are means over every 50 updates."""
    torch.manual_seed(seed)
    network = Network(*((2, CELLS[cell](steps), 1) if task == "adding" else (SYMBOLS + 2, CELLS[cell](steps), SYMBOLS)))
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    generator = torch.Generator().manual_seed(1000 + seed)
    losses: list[float] = []
    total, updates, start_time = 0.0, 0, time.process_time()
    while time.process_time() - start_time < seconds:
        x, targets = TASKS[task](generator, steps)
        outputs = network(x, len(targets))
        if task == "adding":
            loss = (outputs - targets).square().mean()
        else:
            loss = cross_entropy(outputs.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        total, updates = total + float(loss.detach()), updates + 1
        if updates % AVERAGED == 0:
            losses.append(total / AVERAGED)
            total = 0.0
            if not losses[-1] >= SOLVED[task]:  # solved, or not a number
                break
    used = time.process_time() - start_time
    final_loss = losses[-1] if losses else float("nan")
    return {"task": task, "steps": steps, "cell": cell, "seed": seed, "updates": updates, "seconds": round(used, 1),
            "limit": seconds, "solved": final_loss < SOLVED[task], "loss": final_loss, "losses": losses}  # fmt: skip


def missing_runs(options: argparse.Namespace, old_rows: list[Row]) -> Iterator[Row]:
    """Run the combinations that are not in the file yet."""
    known = {(row["task"], row["steps"], row["cell"], row["seed"]) for row in old_rows}
    for steps in options.steps:
        for seed in options.seeds:
            for task in options.tasks:
                for cell in options.cells:
                    if (task, steps, cell, seed) not in known:
                        yield run(task, steps, cell, seed, options.seconds)


def table(rows: list[Row]) -> str:
    """Updates until the solution for each seed, or the last loss without one, in Markdown."""
    columns = sorted({(row["task"], row["steps"]) for row in rows})
    heads = [f"{task}, T = {steps}" for task, steps in columns]
    lines = [f"| cell | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for cell in CELLS:
        final_losses = [
            sorted((row for row in rows if (row["task"], row["steps"], row["cell"]) == (*column, cell)),
                   key=lambda row: row["seed"])
            for column in columns
        ]  # fmt: skip
        lines.append(
            f"| {cell} | " + " | ".join("; ".join(map(outcome, cell_rows)) or "–" for cell_rows in final_losses) + " |"
        )
    return "\n".join(lines)


def outcome(row: Row) -> str:
    """``solved in 1,250 (8 s)``, ``0.164 after 3,800``, or ``no number from 250 on``."""
    lost_updates = [AVERAGED * number for number, loss in enumerate(row["losses"], 1) if np.isnan(loss)]
    if lost_updates:
        return f"no number from {lost_updates[0]:,} on"
    if row["solved"]:
        return f"**solved in {row['updates']:,}** ({row['seconds']:.0f} s)"
    return f"{row['loss']:.3g} after {row['updates']:,}"


def draw_rows(rows: list[Row], file: Path) -> None:
    """Draw loss over updates, a small picture for each cell and task."""
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
                    updates = AVERAGED * np.arange(1, len(row["losses"]) + 1)
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
    parser.add_argument("--seconds", type=float, default=120.0, help="processor time for a run")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures here; runs in the file are not repeated"
    )
    parser.add_argument("--show", type=Path, metavar="FILE", help="read the figures from here and train nothing")
    parser.add_argument("--plot", type=Path, metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = options.show or options.json
    rows: list[Row] = json.loads(file.read_text(encoding="utf-8")) if file and file.exists() else []
    for row in () if options.show else missing_runs(options, rows):
        rows.append(row)
        print(
            f"{row['task']:<7} T = {row['steps']:<4} {row['cell']:<18} seed {row['seed']}  {outcome(row)}", flush=True
        )
        if options.json:
            options.json.write_text(json.dumps(rows) + "\n", encoding="utf-8")
    print("\n" + table(rows))
    if options.plot:
        draw_rows(rows, options.plot)


if __name__ == "__main__":
    main()
