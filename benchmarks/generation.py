"""Units per second of generation: sampling from a language model, and translation by beam search.

    python benchmarks/generation.py --json generation.json

The weights are random, since the time does not depend on them. ``language`` samples from the network of ``make demo``
(an LSTM of 256 units with layer norm, 65 characters) at temperature 0.8, one unit after another. ``translate`` writes
32 sentences with a GRU encoder and decoder of 256 units with attention, 5,000 words and a beam of 4, each up to 30
words long.

The plain sides are PyTorch programs under ``torch.inference_mode``. For ``language`` they are loops with
``torch.multinomial``: ``plain`` steps ``torch.nn.LSTMCell``, and ``plain layer`` calls ``torch.nn.LSTM`` for each unit.
Neither has layer norm; ``plain same network`` computes the layer norm of our network in a cell of its own. For
``translate`` the plain side is a beam search in tensors, sentence by sentence, with the same network. ``runtime`` is
the exported model, which runs without PyTorch. All sides run by turns in one process.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _report import Report, Row, markdown, ratio
from torch import Tensor, nn

import seriatim
from seriatim import runtime
from seriatim.bench.paired_timing import Side, race
from seriatim.decoding.beam import search
from seriatim.models.options import ModelOptions
from seriatim.models.seq2seq import RecurrentSeq2Seq, Sources
from seriatim.options import fill
from seriatim.tasks.common.writing import Stepper

TEMPERATURE = 0.8
WIDTH = 128
BEAM = 4
SENTENCES, WORDS, LONGEST = 32, 5000, 30


def main() -> None:
    """Measure and print."""
    options = arguments()
    torch.set_num_threads(options.threads)
    report = Report(("task", "side", "threads"), options.json)
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "language": (options.length, language(Path(folder), options.length, options.hidden)),
            "translate": (SENTENCES * LONGEST, translate(options.hidden)),
        }
        for task, (units, by_side) in sides.items():
            for row in measure(task, units, by_side, options):
                report.add(row)
    columns = ["task", "side", "units per second", "times as fast as plain PyTorch"]
    print(
        markdown(
            columns, [[row["task"], row["side"], f"{row['rate']:,.0f}", ratio(row["ratio"])] for row in report.rows]
        )
    )


def measure(task: str, units: int, sides: Mapping[str, Side], options: argparse.Namespace) -> list[Row]:
    """Measure all sides of a task, which write ``units`` units in each call."""
    with torch.no_grad():
        result = race(sides, seconds=options.seconds, min_rounds=options.rounds)
    return [
        {
            "task": task, "side": side, "threads": options.threads, "rate": units / result.seconds(side).median,
            "ratio": result.ratio(side, "plain").to_json(),
        }
        for side in sides
    ]  # fmt: skip


def language(folder: Path, length: int, hidden: int) -> dict[str, Side]:
    """The sides of a language model."""
    text = folder / "text.txt"
    characters = [chr(code) for code in range(33, 33 + 64)]
    text.write_text("".join(np.random.default_rng(0).choice(characters, 4000)), encoding="utf-8")
    run = seriatim.train(
        "language", text, model="lstm", hidden=hidden, epochs=1, baselines="none", out=folder / "run", quiet=True
    )
    exported = folder / "exported"
    run.export(exported)
    model = runtime.load(exported)
    settings: dict[str, Any] = {"length": length, "temperature": TEMPERATURE, "seed": 0}
    cells: dict[str, nn.Module] = {
        "plain": nn.LSTMCell(WIDTH, hidden), "plain layer": Unrolled(nn.LSTM(WIDTH, hidden)),
        "plain same network": NormalisedCell(WIDTH, hidden),
    }  # fmt: skip
    return {
        "run": Side(lambda: "".join(run.generate("A", **settings))),
        "runtime": Side(lambda: "".join(model.generate("A", **settings))),
        **{name: Side(partial(Plain(65, cell, hidden).sample, length)) for name, cell in cells.items()},
    }


class Plain(nn.Module):
    """A language model as a PyTorch program has it. ``cell`` maps an input and a state to the next state, h first."""

    def __init__(self, units: int, cell: nn.Module, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(units, WIDTH)
        self.cell = cell
        self.output = nn.Linear(hidden, units)

    @torch.inference_mode()
    def sample(self, length: int) -> list[int]:
        """Sample ``length`` units."""
        unit, state, units = torch.zeros(1, dtype=torch.int64), None, []
        for _ in range(length):
            state = self.cell(self.embedding(unit), state)
            chances = torch.softmax(self.output(state[0]) / TEMPERATURE, -1)
            unit = torch.multinomial(chances[0], 1)
            units.append(int(unit))
        return units


class Unrolled(nn.Module):
    """A layer that is called for each step."""

    def __init__(self, layer: nn.LSTM) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        next_state: tuple[Tensor, Tensor] = self.layer(x, state)[1]
        return next_state


class NormalisedCell(nn.Module):
    """An LSTM cell with layer norm (Ba 2016), in PyTorch's operations."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.read = nn.Linear(width, 4 * hidden, bias=False)
        self.recur = nn.Linear(hidden, 4 * hidden, bias=False)
        self.read_norm, self.recur_norm = nn.LayerNorm(4 * hidden), nn.LayerNorm(4 * hidden)
        self.c_norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        h, c = state or (x.new_zeros(1, self.recur.in_features),) * 2
        i, f, g, o = (self.read_norm(self.read(x)) + self.recur_norm(self.recur(h))).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.c_norm(c)), c


def translate(hidden: int) -> dict[str, Side]:
    """The sides of a translator."""
    torch.manual_seed(0)
    options = fill(ModelOptions, {"model": "gru", "hidden": hidden})
    network = RecurrentSeq2Seq(options, WORDS, WORDS, attention="additive").eval()
    words = torch.randint(WORDS, (LONGEST, SENTENCES))
    lengths = torch.full((SENTENCES,), LONGEST)
    stepper = Stepper(network)
    sources = Sources(words, lengths)

    def ours() -> object:
        state = stepper.begin(sources)
        boundary = network.boundary
        return search(stepper, state, SENTENCES, boundary, max_length=LONGEST, beam_size=BEAM, forbidden=(boundary,))

    def theirs() -> object:
        return [plain_beam(network, Sources(words[:, [row]], lengths[[row]])) for row in range(SENTENCES)]

    return {"run": Side(ours), "plain": Side(theirs)}


@torch.inference_mode()
def plain_beam(network: RecurrentSeq2Seq, sources: Sources) -> Tensor:
    """Beam search for one sentence in tensors. No sentence ends before ``LONGEST``, so that all sides do the same."""
    state = network.begin(sources).take(torch.zeros(BEAM, dtype=torch.int64))
    tokens = torch.full((BEAM,), network.boundary)
    scores = torch.tensor([0.0] + [-torch.inf] * (BEAM - 1))
    written = torch.zeros(BEAM, 0, dtype=torch.int64)
    for _ in range(LONGEST):
        chances, state, _ = network.step(tokens, state)
        chances[:, network.boundary] = -torch.inf
        scores, best = (scores[:, None] + chances).flatten().topk(BEAM)
        parents, tokens = best // chances.shape[1], best % chances.shape[1]
        state = state.take(parents)
        written = torch.cat([written[parents], tokens[:, None]], 1)
    return written


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=500)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0, help="approximate time for each task, all sides")
    parser.add_argument("--rounds", type=int, default=5, help="least number of turns of each side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here; other rows in the file stay")
    return parser.parse_args()


if __name__ == "__main__":
    main()
