"""A character language model for each cell, with equal parameters, equal processor time and equal settings.

    python recipes/cells.py DATA/shakespeare/input.txt --seconds 90 --json figures.json
    python recipes/cells.py DATA/shakespeare/input.txt --seconds 90 --json figures.json --cells gru lstm

The network is an embedding of 64 numbers, two layers of the cell, an affine map to 128 numbers with a ReLU, and an
affine map to the characters. The width of a cell is chosen so that the whole network comes nearest to
``--parameters``; "gru, as wide" has the LSTM's width and therefore fewer parameters. 32 rows read the first 80 % of
the text, 64 characters per update, and carry their states. Adam's learning rate falls linearly to 0 as the time is
used up; gradient norms are clipped to 1. Nothing is tuned for a cell. The next two tenths of the text are scored,
each character once, in 32 rows that first read the 512 characters before their start.
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
"""Networks that take the width of another one."""

Row = dict[str, Any]


class Network(nn.Module):
    """A language model: characters [T, B] → logits [T, B, V] and the final state."""

    def __init__(self, name: str, characters: int, width: int) -> None:
        super().__init__()
        cell, options = NETWORKS[name]
        self.embedding = nn.Embedding(characters, EMBEDDING)
        self.layer = LAYERS[cell](EMBEDDING, width, LAYERS_EACH, **options)
        self.head = nn.Sequential(nn.Linear(width, READOUT), nn.ReLU(), nn.Linear(READOUT, characters))

    def forward(self, read: Tensor, state: Any) -> tuple[Tensor, Any]:
        states, final_state = self.layer(self.embedding(read), state)
        return self.head(states), final_state


def size_of(name: str, characters: int, width: int) -> int:
    return sum(weight.numel() for weight in Network(name, characters, width).parameters())


def width_of(name: str, characters: int, parameters: int) -> int:
    """The width with which the network comes nearest to this number of parameters, by bisection."""
    name = AS_WIDE.get(name, name)
    low, high = 1, 2048
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_of(name, characters, middle) <= parameters else (low, middle)
    return min(low, high, key=lambda width: abs(size_of(name, characters, width) - parameters))


def detached(state: Any) -> Any:
    return state.detach() if isinstance(state, Tensor) else tuple(part.detach() for part in state)


def train(network: Network, text: Tensor, seconds: float) -> tuple[int, float]:
    """Train for a processor time; returns the number of updates and the mean loss of the last tenth of them."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    rows = text[: len(text) // ROWS * ROWS].view(ROWS, -1).t().contiguous()
    state, position, losses, start = None, 0, [], time.process_time()
    while (used := time.process_time() - start) < seconds:
        if position + STEPS + 1 > len(rows):
            state, position = None, 0
        optimizer.param_groups[0]["lr"] = LR * (1 - used / seconds)
        logits, final_state = network(rows[position : position + STEPS], state)
        loss = cross_entropy(logits.flatten(0, 1), rows[position + 1 : position + STEPS + 1].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        state, position = detached(final_state), position + STEPS
        losses.append(loss.item())
    last = losses[-max(1, len(losses) // 10) :]
    return len(losses), sum(last) / len(last)


def perplexity(network: Network, text: Tensor, first: int, last: int) -> float:
    """Perplexity of the characters from ``first`` to ``last``. Each row first reads 512 characters before its start."""
    starts = torch.linspace(first, last, ROWS + 1).long()
    longest = int((starts[1:] - starts[:-1]).max())
    places = starts[:-1] + torch.arange(-WARMUP - 1, longest)[:, None]
    read = text[places.clamp(max=len(text) - 1)]
    is_counted = (places[1:] >= starts[:-1]) & (places[1:] < starts[1:])
    network.eval()
    total, state = 0.0, None
    with torch.no_grad():
        for position in range(0, len(read) - 1, 256):
            targets, is_scored = read[position + 1 : position + 257], is_counted[position : position + 256]
            logits, state = network(read[position : position + len(targets)], state)
            losses = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
            total += float(losses[is_scored].double().sum())
    return math.exp(total / int(is_counted.sum()))


def run(name: str, text: Tensor, options: argparse.Namespace) -> Row:
    characters = int(text.max()) + 1
    width = width_of(name, characters, options.parameters)
    torch.manual_seed(options.seed)
    network = Network(name, characters, width)
    updates, loss = train(network, text[: len(text) * 8 // 10], options.seconds)
    tenth = len(text) // 10
    return {
        "cell": name, "width": width, "parameters": size_of(name, characters, width), "updates": updates,
        "characters": updates * ROWS * STEPS, "seconds": options.seconds, "seed": options.seed, "train": math.exp(loss),
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
    """Train the networks that are not in the file yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--cells", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--parameters", type=int, default=400_000)
    parser.add_argument("--seconds", type=float, default=150.0, help="processor time for each network's training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures here; cells in the file are not repeated"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    characters = options.text.read_text(encoding="utf-8")
    index_of = {character: index for index, character in enumerate(sorted(set(characters)))}
    text = torch.tensor([index_of[character] for character in characters])
    rows: list[Row] = (
        json.loads(options.json.read_text(encoding="utf-8")) if options.json and options.json.exists() else []
    )
    for name in options.cells:
        if name not in {row["cell"] for row in rows}:
            rows.append(run(name, text, options))
            print(json.dumps(rows[-1]), flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows) + "\n", encoding="utf-8")
    print("\n" + table(rows))


if __name__ == "__main__":
    main()
