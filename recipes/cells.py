"""A language model of characters for each cell: equal parameters, equal processor time, all else the same.

    python recipes/cells.py DATA/shakespeare/input.txt --seconds 90 --json figures.json
    python recipes/cells.py DATA/shakespeare/input.txt --seconds 90 --json figures.json --cells gru lstm

An embedding of 64 numbers, two layers of the cell, an affine map to 128 numbers with a ReLU, an affine map to the
characters. The width of a cell is the one that brings the whole network nearest to ``--parameters``; "gru, as wide" has
the LSTM's width and so fewer parameters. 32 rows go through the first 80 % of the text, 64 characters an update, and
their states are carried on. Adam, its rate falling in a straight line to 0 as the time is used up; norms clipped to 1.
Nothing is tuned for a cell. Scored are the next two tenths, each character once, in 32 rows that first read the 512
characters before their own.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from seriatim.nn.registry import LAYERS

EMBEDDING, READOUT, LAYERS_EACH = 64, 128, 2
ROWS, STEPS, WARMUP, LR = 32, 64, 512, 3e-3
NETWORKS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "rnn": ("rnn", {}),
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "mingru": ("mingru", {}),
    "minlstm": ("minlstm", {}),
    "slstm": ("slstm", {}),
    "lru": ("lru", {}),
    "lstm, peephole": ("lstm", {"peephole": True}),
    "lstm, layer norm": ("lstm", {"layer_norm": True}),
    "gru, as wide": ("gru", {}),
}
AS_WIDE = {"gru, as wide": "lstm"}
"""Whose width a network takes in place of one of its own."""

Row = dict[str, Any]


class Network(nn.Module):
    """Characters [T, B] → logits [T, B, V] and the state after them."""

    def __init__(self, name: str, characters: int, width: int) -> None:
        super().__init__()
        kind, options = NETWORKS[name]
        self.embedding = nn.Embedding(characters, EMBEDDING)
        self.layer = LAYERS[kind](EMBEDDING, width, LAYERS_EACH, **options)
        self.head = nn.Sequential(nn.Linear(width, READOUT), nn.ReLU(), nn.Linear(READOUT, characters))

    def forward(self, read: Tensor, state: Any) -> tuple[Tensor, Any]:
        states, after = self.layer(self.embedding(read), state)
        return self.head(states), after


def size_of(name: str, characters: int, width: int) -> int:
    return sum(one.numel() for one in Network(name, characters, width).parameters())


def width_of(name: str, characters: int, parameters: int) -> int:
    """The width that brings the network nearest to so many parameters, by halving."""
    name = AS_WIDE.get(name, name)
    low, high = 1, 2048
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_of(name, characters, middle) <= parameters else (low, middle)
    return min(low, high, key=lambda width: abs(size_of(name, characters, width) - parameters))


def detached(state: Any) -> Any:
    return state.detach() if isinstance(state, Tensor) else tuple(one.detach() for one in state)


def train(network: Network, text: Tensor, seconds: float) -> tuple[int, float]:
    """Until the processor seconds are used up: updates, and the mean loss of the last tenth of them."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    rows = text[: len(text) // ROWS * ROWS].view(ROWS, -1).t().contiguous()
    state, at, losses, began = None, 0, [], time.process_time()
    while (used := time.process_time() - began) < seconds:
        if at + STEPS + 1 > len(rows):
            state, at = None, 0
        optimizer.param_groups[0]["lr"] = LR * (1 - used / seconds)
        said, after = network(rows[at : at + STEPS], state)
        loss = cross_entropy(said.flatten(0, 1), rows[at + 1 : at + STEPS + 1].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        state, at = detached(after), at + STEPS
        losses.append(loss.item())
    last = losses[-max(1, len(losses) // 10) :]
    return len(losses), sum(last) / len(last)


def perplexity(network: Network, text: Tensor, first: int, last: int) -> float:
    """Of the characters from ``first`` to ``last``, each with the 512 before its row and all since."""
    starts = torch.linspace(first, last, ROWS + 1).long()
    longest = int((starts[1:] - starts[:-1]).max())
    places = starts[:-1] + torch.arange(-WARMUP - 1, longest)[:, None]
    read = text[places.clamp(max=len(text) - 1)]
    counted = (places[1:] >= starts[:-1]) & (places[1:] < starts[1:])
    network.eval()
    total, state = 0.0, None
    with torch.no_grad():
        for at in range(0, len(read) - 1, 256):
            wanted, told = read[at + 1 : at + 257], counted[at : at + 256]
            said, state = network(read[at : at + len(wanted)], state)
            losses = cross_entropy(said.flatten(0, 1), wanted.flatten(), reduction="none").view_as(wanted)
            total += float(losses[told].double().sum())
    return math.exp(total / int(counted.sum()))


def run(name: str, text: Tensor, asked: argparse.Namespace) -> Row:
    characters = int(text.max()) + 1
    width = width_of(name, characters, asked.parameters)
    torch.manual_seed(asked.seed)
    network = Network(name, characters, width)
    updates, loss = train(network, text[: len(text) * 8 // 10], asked.seconds)
    tenth = len(text) // 10
    return {
        "cell": name, "width": width, "parameters": size_of(name, characters, width), "updates": updates,
        "characters": updates * ROWS * STEPS, "seconds": asked.seconds, "seed": asked.seed, "train": math.exp(loss),
        "valid": perplexity(network, text, 8 * tenth, 9 * tenth),
        "test": perplexity(network, text, 9 * tenth, len(text)),
    }  # fmt: skip


def table(rows: list[Row]) -> str:
    lines = ["| cell | width | parameters | updates | characters read | train | valid | test |", "|" + "---|" * 8]
    for row in rows:
        lines.append(
            f"| {row['cell']} | {row['width']} | {row['parameters']:,} | {row['updates']:,} | "
            f"{row['characters'] / 1e6:.2f} M | {row['train']:.3f} | {row['valid']:.3f} | {row['test']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Train what is not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--cells", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--parameters", type=int, default=400_000)
    parser.add_argument("--seconds", type=float, default=150.0, help="of processor time for each network's training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here; cells there are not repeated")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    said = asked.text.read_text(encoding="utf-8")
    letters = {one: number for number, one in enumerate(sorted(set(said)))}
    text = torch.tensor([letters[one] for one in said])
    rows: list[Row] = json.loads(asked.json.read_text(encoding="utf-8")) if asked.json and asked.json.exists() else []
    for name in asked.cells:
        if name not in {row["cell"] for row in rows}:
            rows.append(run(name, text, asked))
            print(json.dumps(rows[-1]), flush=True)
            if asked.json:
                asked.json.write_text(json.dumps(rows) + "\n", encoding="utf-8")
    print("\n" + table(rows))


if __name__ == "__main__":
    main()
