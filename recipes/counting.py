"""An LSTM counts where a GRU does not: strings aⁿbⁿ and aⁿbⁿcⁿ, and the unit that holds the count (after Weiss 2018).

    python recipes/counting.py [--seeds 3] [--units 8] [--longest 30] [--json figures.json]
    python recipes/counting.py --language abc --units 10 --longest 50          aⁿbⁿcⁿ, as published

A network reads ^ aⁿ bⁿ $ or ^ aⁿ bⁿ cⁿ $ and predicts each next letter. It is trained on n up to ``--longest`` and
tested on every n up to four times that. The letters after the first b, and the end mark, can be predicted. A string is
right if the likeliest letter is right at each of them. Printed per cell and seed: the longest n up to which all strings
are right, the share of right strings for n up to ``--longest`` and from there to twice that, and the unit of the state
that follows the open count (a's less b's) best, by ``insight.followers``, on strings as long as in training and on
strings twice as long.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from seriatim.insight.followers import follower
from seriatim.nn.registry import LAYERS
from seriatim.percent import percent

START, A, B = range(3)
LANGUAGES = {"ab": 2, "abc": 3}
"""The number of letters of each language; the end mark has the number after the last letter."""
ROWS = 32


class Reader(nn.Module):
    """One recurrent layer with logits of the next letter."""

    def __init__(self, cell: str, units: int, letters: int) -> None:
        super().__init__()
        self.letters = letters
        symbols = letters + 2
        self.embedding = nn.Embedding(symbols, symbols)
        self.layer: Any = LAYERS[cell](symbols, units)
        self.output = nn.Linear(units, symbols)

    def forward(self, letters: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Letters [T, B] → logits [T, B, symbols], and everything inside the layer."""
        states, _, inside = self.layer(self.embedding(letters), return_states="all")
        return self.output(states), inside


def strings(counts: Tensor, letters: int) -> Tensor:
    """The strings of ``counts`` [B] over so many letters, [letters · max + 2, B], filled up with the end mark."""
    steps = torch.arange(letters * int(counts.max()) + 2)[:, None]
    return ((steps + counts - 1) // counts).clamp(max=letters + 1)


def predictable(letters: Tensor, end: int) -> Tensor:
    """Where the letter after each one follows from those before it, [T - 1, B]."""
    return (letters[:-1] >= B) & (letters[:-1] < end)


def train(cell: str, units: int, letters: int, longest: int, updates: int, seed: int) -> Reader:
    """Train on strings with n drawn evenly from 1 to ``longest``."""
    torch.manual_seed(seed)
    model = Reader(cell, units, letters)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in range(updates):
        read = strings(torch.randint(1, longest + 1, (ROWS,)), letters)
        logits, _ = model(read[:-1])
        is_scored = read[:-1] != letters + 1
        loss = cross_entropy(logits[is_scored], read[1:][is_scored])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def right_strings(model: Reader, limit: int) -> Tensor:
    """Whether the string of each n from 1 to ``limit`` is right, [limit] booleans."""
    letters = strings(torch.arange(1, limit + 1), model.letters)
    logits, _ = model(letters[:-1])
    wrong = (logits.argmax(2) != letters[1:]) & predictable(letters, model.letters + 1)
    return ~wrong.any(0)


def longest_right(is_right: Tensor) -> int:
    """The largest n up to which every string is right."""
    return int(is_right.long().cumprod(0).sum())


@torch.no_grad()
def counting_unit(model: Reader, count: int) -> dict[str, float]:
    """The unit that follows the open count best, in strings of n = ``count`` / 2 … ``count``."""
    letters = strings(torch.arange(count // 2, count + 1), model.letters)
    open_count = ((letters == A).long() - (letters == B).long()).cumsum(0)
    _, inside = model(letters)
    states = inside["c" if "c" in inside else "h"][0]
    result = follower("open count", states, open_count)
    return {"unit": result.unit, "correlation": result.correlation, "chance": result.chance}


def main() -> None:
    """Train every cell with every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru"], choices=LAYERS)
    parser.add_argument("--language", default="ab", choices=LANGUAGES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--units", type=int, default=8)
    parser.add_argument("--longest", type=int, default=30)
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for cell in options.cells:
        for seed in range(options.seeds):
            model = train(cell, options.units, LANGUAGES[options.language], options.longest, options.updates, seed)
            is_right = right_strings(model, 4 * options.longest)
            trained, longer = is_right[: options.longest], is_right[options.longest : 2 * options.longest]
            row = {
                "cell": cell,
                "seed": seed,
                "right_up_to": longest_right(is_right),
                "share_right": float(trained.float().mean()),
                "share_right_twice_as_long": float(longer.float().mean()),
                "as_trained": counting_unit(model, options.longest),
                "twice_as_long": counting_unit(model, 2 * options.longest),
            }
            rows.append(row)
            print(
                f"{cell:<6}seed {seed}   right up to n = {row['right_up_to']:<4} as long as trained: "
                f"{percent(row['share_right'])}, longer: {percent(row['share_right_twice_as_long'])}   "
                + "   ".join(
                    f"{name.replace('_', ' ')}: unit {result['unit']}, r = {result['correlation']:.3f} "
                    f"(chance {result['chance']:.3f})"
                    for name, result in row.items()
                    if isinstance(result, dict)
                ),
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
