"""Units per second of generation: sampling from a language model, and translation by beam search.

    python benchmarks/generation.py --json generation.json

The weights are random, since the time does not depend on them. ``language`` samples from the network of ``make demo``
(an LSTM of 256 units with layer norm, 65 characters) at temperature 0.8, one unit after another. ``translate`` writes
32 sentences with a GRU encoder and decoder of 256 units with attention, 5,000 words and a beam of 4, each up to 30
words long.

The plain side is a PyTorch program as in a textbook. For ``language`` it is the LSTM of ``torch.nn`` (which has no
layer norm), a loop and ``torch.multinomial``. For ``translate`` it is a beam search in tensors, sentence by sentence,
with the same network. ``runtime`` is the exported model, which runs without PyTorch. All sides run by turns in one
process.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
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
    plain = Plain(65, 128, hidden)
    return {
        "run": Side(lambda: "".join(run.generate("A", **settings))),
        "runtime": Side(lambda: "".join(model.generate("A", **settings))),
        "plain": Side(lambda: plain.sample(length)),
    }


class Plain(nn.Module):
    """A language model as a PyTorch program has it."""

    def __init__(self, units: int, width: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(units, width)
        self.layer = nn.LSTM(width, hidden)
        self.output = nn.Linear(hidden, units)

    def sample(self, length: int) -> list[int]:
        """Sample ``length`` units."""
        unit, state, units = torch.zeros(1, 1, dtype=torch.int64), None, []
        for _ in range(length):
            hidden, state = self.layer(self.embedding(unit), state)
            chances = torch.softmax(self.output(hidden[-1]) / TEMPERATURE, -1)
            unit = torch.multinomial(chances, 1)
            units.append(int(unit))
        return units


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
