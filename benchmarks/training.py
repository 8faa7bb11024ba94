"""Training end to end: Seriatim's own loop against the same model written plainly in PyTorch, by turns.

    python benchmarks/training.py language --data train.txt --threads 2 --precision fp32 bf16 --json training.json
    python benchmarks/training.py classify --threads 2

``language``: two LSTM layers of 650 units, embeddings as wide, a vocabulary of 10,000, 20 streams of 35 steps and
dropout of 0.5, as Zaremba 2014 calls medium, by plain gradient descent. Without ``--data``, a file of white-space
separated words, the tokens are drawn at random. ``classify``: a GRU on the bundled text messages, whose lengths differ;
the plain program packs them, or leaves them padded and masks, which gives the same loss.

Our side is what ``seriatim train`` runs: its models, learner and loop, each turn a pass over the same N batches. One
turn of either side makes its optimizer, its batches' losses and gradients, clips and updates. Tokens per second are the
predicted (or read) ones over the wall time of a turn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _report import Report, Row, ratio, spread
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seriatim.bench.layer_timing import using_threads
from seriatim.bench.paired_timing import Side, race
from seriatim.data.buckets import buckets
from seriatim.data.bundled import bundled_sets
from seriatim.data.streams import Streams
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.loop import TrainingPlan, fit
from seriatim.learning.observer import Silent
from seriatim.models.classifier import RecurrentClassifier, SequenceBatch
from seriatim.models.contract import Trainable
from seriatim.models.language import LanguageBatch, RecurrentLanguageModel
from seriatim.options import fill
from seriatim.tasks.options import ClassifyOptions, LanguageOptions, TrainOptions
from seriatim.tasks.registry import TASKS


def main() -> None:
    """Measure and print."""
    asked = arguments()
    report = Report(("task", "side", "precision", "threads", "model"), asked.json)
    for task in asked.task:
        for precision in asked.precision:
            for threads in asked.threads:
                with using_threads(threads):
                    rows = TASKS_HERE[task](asked, precision, threads)
                for row in rows:
                    report.add(row)
                    print(line(row), flush=True)


def language(asked: argparse.Namespace, precision: str, threads: int) -> list[Row]:
    """The language model."""
    hidden = asked.hidden or 650
    options = LanguageOptions(
        hidden=hidden, layers=2, embedding=hidden, dropout=0.5, batch_size=20, truncation=(35,), tie=asked.tie,
        optimizer="sgd", lr=0.1, clip=5.0, epochs=1, precision=precision,
    )  # fmt: skip
    tokens = words(asked.data, asked.vocabulary, options, asked.updates)
    streams = Streams(tokens, options.batch_size, options.truncation[0])
    batches = [
        LanguageBatch(torch.from_numpy(inputs), torch.from_numpy(targets)) for inputs, targets in streams.batches()
    ][: asked.updates]
    torch.manual_seed(0)
    ours = RecurrentLanguageModel(options, asked.vocabulary, tie=options.tie)
    theirs = PlainLanguageModel(asked.vocabulary, options.hidden, options.dropout, options.tie)
    sides = {"seriatim": own(ours, options, batches), "plain": plain_language(theirs, options, batches)}
    model = f"lstm {options.hidden} x 2{', tied' if options.tie else ''}"
    return compared("language", model, sides, batches, asked, precision, threads)


def classify(asked: argparse.Namespace, precision: str, threads: int) -> list[Row]:
    """The classifier."""
    (one,) = (one for one in bundled_sets() if one.name == "sms_spam")
    made: Any = fill(ClassifyOptions, dict(one.options))
    options: ClassifyOptions = replace(
        made, model="gru", hidden=asked.hidden or 128, embedding=128, epochs=1, precision=precision, batch_size=32
    )
    prepared: Any = TASKS["classify"].prepare(options, one.path)
    lengths = np.array([len(inputs) for inputs in prepared.train.inputs])
    batches = [prepared.train.batch(indices) for indices in buckets(lengths, options.batch_size, seed=0)]
    batches = batches[: asked.updates]
    size, classes = prepared.codec.inputs.size(), len(prepared.codec.labels.names)
    torch.manual_seed(0)
    ours = RecurrentClassifier(options, size, classes, pool=options.pool)
    sides = {"seriatim": own(ours, options, batches)}
    for packed in (True, False):
        theirs = PlainClassifier(size.vocabulary, 128, options.hidden, classes, options.dropout, packed=packed)
        sides["plain, packed" if packed else "plain, padded"] = plain_classify(theirs, options, batches)
    return compared("classify", f"gru {options.hidden}", sides, batches, asked, precision, threads)


TASKS_HERE = {"language": language, "classify": classify}


def line(row: Row) -> str:
    """A row as it is measured."""
    rate = spread(row["tokens_per_second"], lambda value: f"{value:,.0f}")
    against = "" if row["side"] == "seriatim" else f"  Seriatim × {ratio(row['ratio'])}"
    what = f"{row['task']} {row['model']} {row['precision']} {row['threads']}t {row['side']:<14}"
    return f"{what} {rate} tokens/s{against}"


def compared(
    task: str, model: str, sides: dict[str, Side], batches: Sequence[Any], asked: argparse.Namespace, precision: str,
    threads: int,
) -> list[Row]:  # fmt: skip
    """Run the sides by turns; a row for each."""
    found = race(sides, seconds=asked.seconds, min_rounds=asked.rounds)
    units = sum(batch.units for batch in batches)
    rows = []
    for name in sides:
        seconds = found.seconds(name)
        rate = {"median": units / seconds.median, "low": units / seconds.high, "high": units / seconds.low}
        row: Row = {"task": task, "model": model, "side": name, "precision": precision, "threads": threads}
        row |= {"updates": len(batches), "turns": seconds.count, "tokens_per_second": rate}
        rows.append(row | {"ratio": found.ratio("seriatim", name).to_json()})
    return rows


def own(model: Trainable[Any], options: TrainOptions, batches: Sequence[Any]) -> Side:
    """A pass over the batches by the loop of ``seriatim train``, with nothing to validate on."""
    plan = TrainingPlan(epoch=lambda number: batches, validate=lambda network: {"valid_nll": 1.0}, monitor="valid_nll")
    return Side(lambda: fit(model, plan, options, NullStore(), Silent()))


class PlainLanguageModel(nn.Module):
    """The same network as a PyTorch user writes it."""

    def __init__(self, vocabulary: int, hidden: int, chance: float, tie: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.dropout = nn.Dropout(chance)
        self.lstm = nn.LSTM(hidden, hidden, 2, dropout=chance)
        self.output = nn.Linear(hidden, vocabulary)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if tie:
            self.output.weight = self.embedding.weight

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        states, state = self.lstm(self.dropout(self.embedding(inputs)), state)
        return self.output(self.dropout(states)), state


class PlainClassifier(nn.Module):
    """The same network as a PyTorch user writes it, with packing or without."""

    def __init__(
        self, vocabulary: int, width: int, hidden: int, classes: int, chance: float, *, packed: bool
    ) -> None:  # fmt: skip
        super().__init__()
        self.packed = packed
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(chance)
        self.gru = nn.GRU(width, hidden)
        self.output = nn.Linear(hidden, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        x = self.dropout(self.embedding(inputs))
        if self.packed:
            states, _ = pad_packed_sequence(self.gru(pack_padded_sequence(x, lengths, enforce_sorted=False))[0])
        else:
            states, _ = self.gru(x)
        beyond = torch.arange(len(states))[:, None] >= lengths
        return self.output(self.dropout(states).masked_fill(beyond[:, :, None], -torch.inf).amax(0))


def plain_language(model: PlainLanguageModel, options: LanguageOptions, batches: Sequence[LanguageBatch]) -> Side:
    """A pass over the batches with the state carried."""

    def turn() -> None:
        state: tuple[Tensor, Tensor] | None = None

        def loss(batch: LanguageBatch) -> Tensor:
            nonlocal state
            logits, after = model(batch.inputs, state)
            state = (after[0].detach(), after[1].detach())
            return functional.cross_entropy(logits.flatten(0, 1).float(), batch.targets.flatten())

        descend(model, options, batches, loss)

    return Side(turn)


def plain_classify(model: PlainClassifier, options: ClassifyOptions, batches: Sequence[SequenceBatch]) -> Side:
    """A pass over the batches."""

    def loss(batch: SequenceBatch) -> Tensor:
        return functional.cross_entropy(model(batch.inputs, batch.lengths).float(), batch.labels)

    return Side(lambda: descend(model, options, batches, loss))


def descend(
    model: nn.Module, options: TrainOptions, batches: Sequence[Any], loss_of: Callable[[Any], Tensor]
) -> None:  # fmt: skip
    """The loop that everybody writes."""
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    optimizer = optimizers[options.optimizer](model.parameters(), lr=options.rate)
    model.train()
    for batch in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            loss = loss_of(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), options.clip)
        optimizer.step()
        loss.item()


def words(file: Path | None, vocabulary: int, options: LanguageOptions, updates: int) -> Any:
    """Tokens of a text, or as many as are needed drawn at random."""
    if file is None:
        count = options.batch_size * options.truncation[0] * updates
        return np.random.default_rng(0).integers(0, vocabulary, count).astype(np.int32)
    text = file.read_text(encoding="utf-8")
    return Vocabulary.fit([text], "word", vocabulary, lines=True).encode(text)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="*", help=" or ".join(TASKS_HERE) + " (default: both)")
    parser.add_argument("--data", type=Path, help="language: a text (default: random tokens)")
    parser.add_argument("--vocabulary", type=int, default=10_000, help="language: units")
    parser.add_argument("--tie", action="store_true", help="language: share the embedding with the output layer")
    parser.add_argument("--hidden", type=int, help="default: 650 for language, 128 for classify")
    parser.add_argument("--updates", type=int, default=20, help="batches in a turn")
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=("fp32", "bf16"))
    parser.add_argument("--threads", nargs="+", type=int, default=[2])
    parser.add_argument("--seconds", type=float, default=30.0, help="about so long for each figure (all sides)")
    parser.add_argument("--rounds", type=int, default=5, help="at least so many turns of each side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here; rows there already stay")
    asked = parser.parse_args()
    asked.task = asked.task or list(TASKS_HERE)
    if wrong := set(asked.task) - set(TASKS_HERE):
        parser.error(f"no task {', '.join(sorted(wrong))}: {' or '.join(TASKS_HERE)}")
    return asked


if __name__ == "__main__":
    main()
