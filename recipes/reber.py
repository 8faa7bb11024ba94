"""The embedded Reber grammar: in how many strings a network learns to remember its second letter (Hochreiter 1997).

    python recipes/reber.py [--cells lstm gru rnn] [--seeds 10] [--units 8] [--json figures.json]

A string of the embedded grammar is B, then T or P, then a string of the Reber grammar (Reber 1967), then the same T or
P again, then E. The network reads a letter and predicts which letters may follow; where two may follow, either is
right. Only a network that remembers the second letter over the whole inner string can predict the last but one.

The protocol is that of Hochreiter & Schmidhuber 1997, experiment 1: 256 training and 256 test strings, an update after
each string, and success when all strings of both sets are right at every step: the letters that may follow have the
highest outputs. The published networks have 3 or 4 memory cell blocks (264 to 276 weights) and plain gradient descent;
their cells do not forget, and the output gates of later blocks start more negative, so that the blocks come into use
one after another. Here, one layer of 8 units learns with Adam. The LSTM starts as the published one: its forget gates
are open, and the biases of its output gates fall from 0 to -3.5. The GRU starts with gates that remember for up to 20
steps (Tallec 2018). The sets are tested after every 256 strings, so a count is a multiple of 256.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seriatim.nn import LSTM
from seriatim.nn.initialisation import chrono_
from seriatim.nn.registry import LAYERS

LETTERS = "BTPSXVE"
GRAMMAR: dict[int, tuple[tuple[str, int], ...]] = {
    0: (("B", 1),),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", 7),),
}
"""State → (letter, next state); 7 is the end."""
SET_SIZE = 256
FORGET_BIAS = 5.0
"""Of the LSTM: a cell keeps 99 % of its state at each step."""
REMEMBERED = 20
"""Steps that the gates of the GRU remember at the start, at most."""


def reber_string(source: random.Random) -> list[tuple[str, str]]:
    """A string of the embedded grammar: each letter with the letters that may follow it, ``''`` after the last."""
    outer, state = source.choice("TP"), 0
    steps = [("B", "TP"), (outer, "B")]
    while state != 7:
        letter, state = source.choice(GRAMMAR[state])
        steps.append((letter, "".join(name for name, _ in GRAMMAR[state]) if state != 7 else outer))
    return [*steps, (outer, "E"), ("E", "")]


def encode(steps: list[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """Letters as one of seven, [T, 1, 7], and 1 for the letters that may follow each but the last, [T - 1, 1, 7]."""
    letters = torch.tensor([LETTERS.index(letter) for letter, _ in steps])
    allowed = torch.tensor([[float(letter in following) for letter in LETTERS] for _, following in steps[:-1]])
    return nn.functional.one_hot(letters, len(LETTERS)).float()[:, None], allowed[:, None]


@torch.no_grad()
def start_as_published(layer: LSTM) -> None:
    """Set the biases of an LSTM: nothing is forgotten, and one unit after another shows its state."""
    layer.bias_ih_l0.zero_()
    layer.bias_hh_l0.zero_()
    _, forget, _, show = layer.bias_ih_l0.chunk(4)
    forget.fill_(FORGET_BIAS)
    show.copy_(-0.5 * torch.arange(layer.hidden_size))


class Reader(nn.Module):
    """One recurrent layer and a logit for each letter that may follow."""

    def __init__(self, cell: str, units: int) -> None:
        super().__init__()
        self.layer: Any = LAYERS[cell](len(LETTERS), units)
        if cell == "lstm":
            start_as_published(self.layer)
        elif cell == "gru":
            chrono_(self.layer, REMEMBERED)
        self.output = nn.Linear(units, len(LETTERS))

    def forward(self, letters: Tensor) -> Tensor:
        """Letters [T, 1, 7] → logits [T, 1, 7]."""
        logits: Tensor = self.output(self.layer(letters)[0])
        return logits


@torch.no_grad()
def is_right(model: Reader, letters: Tensor, allowed: Tensor) -> bool:
    """Whether the letters that may follow have the highest outputs at every step."""
    logits = model(letters[:-1])
    lowest_allowed = logits.masked_fill(allowed == 0, float("inf")).amin(2)
    highest_other = logits.masked_fill(allowed == 1, float("-inf")).amax(2)
    return bool((lowest_allowed > highest_other).all())


def strings_until_success(cell: str, units: int, lr: float, most: int, seed: int) -> int | None:
    """Train on one string after another; return the number of strings until all are right, or None."""
    torch.manual_seed(seed)
    source = random.Random(seed)
    strings = [encode(reber_string(source)) for _ in range(2 * SET_SIZE)]
    train = strings[:SET_SIZE]
    model = Reader(cell, units)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for presented in range(SET_SIZE, most + 1, SET_SIZE):
        for letters, _ in source.sample(train, len(train)):
            loss = nn.functional.binary_cross_entropy_with_logits(model(letters[:-1]), letters[1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if all(is_right(model, *string) for string in strings):
            return presented
    return None


def main() -> None:
    """Train every cell with every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru", "rnn"], choices=LAYERS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--units", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--most", type=int, default=30_000, help="give up after so many strings")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for cell in options.cells:
        counts = [
            strings_until_success(cell, options.units, options.lr, options.most, seed) for seed in range(options.seeds)
        ]
        solved = [count for count in counts if count is not None]
        weights = sum(parameter.numel() for parameter in Reader(cell, options.units).parameters())
        rows.append({"cell": cell, "weights": weights, "strings": counts})
        mean = f"{statistics.fmean(solved):,.0f} strings on average" if solved else "never"
        print(f"{cell:<8}{weights} weights   solved {len(solved)} of {len(counts)}   {mean}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
