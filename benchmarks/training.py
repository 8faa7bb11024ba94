"""Training end to end: the loop of ``seriatim train`` against the same model in plain PyTorch, in alternation.

    python benchmarks/training.py language --data train.txt --threads 2 --precision fp32 bf16 --json training.json
    python benchmarks/training.py classify --threads 2

``language``: two LSTM layers of 650 units, embeddings of the same width, a vocabulary of 10,000, 20 streams of 35
steps and dropout of 0.5 (the medium model of Zaremba 2014), with plain gradient descent. ``--data`` is a file of
words separated by white space; without it the tokens are random. ``classify``: a GRU on the bundled text messages,
whose lengths differ. The plain program packs them, or pads and masks them, which gives the same loss. ``forecast``:
the direct forecaster of ``seriatim train`` on windows of 168 steps and seven series (with ``--data ETTh1.csv``).

Our side runs the models, the learner and the loop of ``seriatim train``. One turn of a side is a pass over the same N
batches: it makes an optimizer, then computes losses and gradients, clips and updates. Tokens per second are the
predicted (or read) tokens over the wall time of a turn.
"""

from __future__ import annotations

import argparse
import copy
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
from seriatim.data.bundled import bundled_sets
from seriatim.data.streams import Streams
from seriatim.encoding.buckets import buckets
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.loop import fit
from seriatim.learning.observer import Silent
from seriatim.learning.plan import TrainingPlan
from seriatim.models.classifier import RecurrentClassifier, SequenceBatch
from seriatim.models.contract import Trainable
from seriatim.models.language import LanguageBatch, RecurrentLanguageModel
from seriatim.options import fill
from seriatim.tasks.options import ClassifyOptions, ForecastOptions, LanguageOptions, TrainOptions
from seriatim.tasks.registry import find_task


def main() -> None:
    """Measure and print."""
    settings = arguments()
    report = Report(("task", "side", "precision", "threads", "model"), settings.json)
    for task in settings.task:
        for precision in settings.precision:
            for threads in settings.threads:
                with using_threads(threads):
                    rows = BENCHMARKS[task](settings, precision, threads)
                for row in rows:
                    report.add(row)
                    print(line(row), flush=True)


def language(settings: argparse.Namespace, precision: str, threads: int) -> list[Row]:
    """Measure the language model."""
    hidden = settings.hidden or 650
    options = LanguageOptions(
        hidden=hidden, layers=2, embedding=hidden, dropout=0.5, batch_size=20, truncation=(35,), tie=settings.tie,
        optimizer="sgd", lr=0.1, clip=5.0, epochs=1, precision=precision,
    )  # fmt: skip
    tokens = make_tokens(settings.data, settings.vocabulary, options, settings.updates)
    streams = Streams(tokens, options.batch_size, options.truncation[0])
    batches = [
        LanguageBatch(torch.from_numpy(inputs), torch.from_numpy(targets)) for inputs, targets in streams.batches()
    ][: settings.updates]
    torch.manual_seed(0)
    our_model = RecurrentLanguageModel(options, settings.vocabulary, tie=options.tie)
    plain_model = PlainLanguageModel(settings.vocabulary, options.hidden, options.dropout, options.tie)
    sides = {
        "seriatim": seriatim_side(our_model, options, batches),
        "plain": plain_language_side(plain_model, options, batches),
    }
    model = f"lstm {options.hidden} x 2{', tied' if options.tie else ''}"
    return measure_sides("language", model, sides, batches, settings, precision, threads)


def classify(settings: argparse.Namespace, precision: str, threads: int) -> list[Row]:
    """Measure the classifier."""
    (bundled,) = (entry for entry in bundled_sets() if entry.name == "sms_spam")
    defaults: Any = fill(ClassifyOptions, dict(bundled.options))
    options: ClassifyOptions = replace(
        defaults,
        model="gru",
        hidden=settings.hidden or 128,
        embedding=128,
        epochs=1,
        precision=precision,
        batch_size=32,
    )
    prepared: Any = find_task("classify").prepare(options, bundled.path)
    lengths = np.array([len(inputs) for inputs in prepared.train.inputs])
    batches = [prepared.train.batch(indices) for indices in buckets(lengths, options.batch_size, seed=0)]
    batches = batches[: settings.updates]
    size, classes = prepared.codec.inputs.size(), len(prepared.codec.labels.names)
    torch.manual_seed(0)
    our_model = RecurrentClassifier(options, size, classes, pool=options.pool)
    sides = {"seriatim": seriatim_side(our_model, options, batches)}
    for packed in (True, False):
        plain_model = PlainClassifier(size.vocabulary, 128, options.hidden, classes, options.dropout, packed=packed)
        sides["plain, packed" if packed else "plain, padded"] = plain_classify_side(plain_model, options, batches)
    return measure_sides("classify", f"gru {options.hidden}", sides, batches, settings, precision, threads)


def forecast(settings: argparse.Namespace, precision: str, threads: int) -> list[Row]:
    """Measure the forecaster; the plain side is the same network with PyTorch's own LSTM."""
    (bundled,) = (entry for entry in bundled_sets() if entry.name == "sunspots")
    columns = ETT_OPTIONS if settings.data else dict(bundled.options)
    changes = {"hidden": settings.hidden or 64, "start": "seasonal_naive", "epochs": 1, "precision": precision}
    options: ForecastOptions = fill(ForecastOptions, {**columns, **changes})
    task: Any = find_task("forecast")
    prepared = task.prepare(options, settings.data or bundled.path)
    torch.manual_seed(0)
    our_model: Any = task.make(options, prepared.codec)
    plain_model = copy.deepcopy(our_model)
    plain_model.stack = nn.LSTM(plain_model.shape.width, options.hidden)
    epoch = task.plan(our_model, options, prepared).epoch(0)
    batches = [epoch[position] for position in range(min(settings.updates, len(epoch)))]
    sides = {
        "seriatim": seriatim_side(our_model, options, batches),
        "plain": Side(lambda: train_once(plain_model, options, batches, lambda batch: plain_model.loss(batch, ())[0])),
    }
    model = f"lstm {options.hidden}, lookback {prepared.codec.lookback}"
    return measure_sides("forecast", model, sides, batches, settings, precision, threads)


ETT_OPTIONS = {
    "time": "date", "target": ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"), "split": (8640, 2880, 2880),
    "season": 24, "horizon": 24, "lookback": 168,
}  # fmt: skip
BENCHMARKS = {"language": language, "classify": classify, "forecast": forecast}


def line(row: Row) -> str:
    """A row as a line of text."""
    rate = spread(row["tokens_per_second"], lambda value: f"{value:,.0f}")
    against = "" if row["side"] == "seriatim" else f"  Seriatim × {ratio(row['ratio'])}"
    name = f"{row['task']} {row['model']} {row['precision']} {row['threads']}t {row['side']:<14}"
    return f"{name} {rate} tokens/s{against}"


def measure_sides(
    task: str, model: str, sides: dict[str, Side], batches: Sequence[Any], settings: argparse.Namespace, precision: str,
    threads: int,
) -> list[Row]:  # fmt: skip
    """Run the sides in alternation; returns a row for each."""
    timings = race(sides, seconds=settings.seconds, min_rounds=settings.rounds)
    units = sum(batch.units for batch in batches)
    rows = []
    for name in sides:
        seconds = timings.seconds(name)
        rate = {"median": units / seconds.median, "low": units / seconds.high, "high": units / seconds.low}
        row: Row = {"task": task, "model": model, "side": name, "precision": precision, "threads": threads}
        row |= {"updates": len(batches), "turns": seconds.count, "tokens_per_second": rate}
        rows.append(row | {"ratio": timings.ratio("seriatim", name).to_json()})
    return rows


def seriatim_side(model: Trainable[Any], options: TrainOptions, batches: Sequence[Any]) -> Side:
    """A pass over the batches by the loop of ``seriatim train``, without validation."""
    plan = TrainingPlan(epoch=lambda number: batches, validate=lambda network: {"valid_nll": 1.0}, monitor="valid_nll")
    return Side(lambda: fit(model, plan, options, NullStore(), Silent()))


class PlainLanguageModel(nn.Module):
    """The same network in plain PyTorch."""

    def __init__(self, vocabulary: int, hidden: int, dropout: float, tie: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(hidden, hidden, 2, dropout=dropout)
        self.output = nn.Linear(hidden, vocabulary)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if tie:
            self.output.weight = self.embedding.weight

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        states, state = self.lstm(self.dropout(self.embedding(inputs)), state)
        return self.output(self.dropout(states)), state


class PlainClassifier(nn.Module):
    """The same network in plain PyTorch, packed or padded."""

    def __init__(
        self, vocabulary: int, width: int, hidden: int, classes: int, dropout: float, *, packed: bool
    ) -> None:  # fmt: skip
        super().__init__()
        self.packed = packed
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, hidden)
        self.output = nn.Linear(hidden, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        x = self.dropout(self.embedding(inputs))
        if self.packed:
            states, _ = pad_packed_sequence(self.gru(pack_padded_sequence(x, lengths, enforce_sorted=False))[0])
        else:
            states, _ = self.gru(x)
        is_padding = torch.arange(len(states))[:, None] >= lengths
        return self.output(self.dropout(states).masked_fill(is_padding[:, :, None], -torch.inf).amax(0))


def plain_language_side(model: PlainLanguageModel, options: LanguageOptions, batches: Sequence[LanguageBatch]) -> Side:
    """A pass over the batches that carries the state."""

    def turn() -> None:
        state: tuple[Tensor, Tensor] | None = None

        def loss(batch: LanguageBatch) -> Tensor:
            nonlocal state
            logits, next_state = model(batch.inputs, state)
            state = (next_state[0].detach(), next_state[1].detach())
            return functional.cross_entropy(logits.flatten(0, 1).float(), batch.targets.flatten())

        train_once(model, options, batches, loss)

    return Side(turn)


def plain_classify_side(model: PlainClassifier, options: ClassifyOptions, batches: Sequence[SequenceBatch]) -> Side:
    """A pass over the batches."""

    def loss(batch: SequenceBatch) -> Tensor:
        return functional.cross_entropy(model(batch.inputs, batch.lengths).float(), batch.labels)

    return Side(lambda: train_once(model, options, batches, loss))


def train_once(
    model: nn.Module, options: TrainOptions, batches: Sequence[Any], compute_loss: Callable[[Any], Tensor]
) -> None:  # fmt: skip
    """The usual training loop in PyTorch."""
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    optimizer = optimizers[options.optimizer](model.parameters(), lr=options.rate)
    model.train()
    for batch in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            loss = compute_loss(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), options.clip)
        optimizer.step()
        loss.item()


def make_tokens(file: Path | None, vocabulary: int, options: LanguageOptions, updates: int) -> Any:
    """The tokens of a text, or random tokens, as many as are needed."""
    if file is None:
        count = options.batch_size * options.truncation[0] * updates
        return np.random.default_rng(0).integers(0, vocabulary, count).astype(np.int32)
    text = file.read_text(encoding="utf-8")
    return Vocabulary.fit([text], "word", vocabulary, lines=True).encode(text)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="*", help=" or ".join(BENCHMARKS) + " (default: all)")
    parser.add_argument(
        "--data",
        type=Path,
        help="a text, or ETTh1.csv (default: random tokens, sunspots)",
    )
    parser.add_argument("--vocabulary", type=int, default=10_000, help="language: units")
    parser.add_argument("--tie", action="store_true", help="language: share the embedding with the output layer")
    parser.add_argument("--hidden", type=int, help="default: 650 for language, 128 for classify, 64 for forecast")
    parser.add_argument("--updates", type=int, default=20, help="batches in a turn")
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=("fp32", "bf16"))
    parser.add_argument("--threads", nargs="+", type=int, default=[2])
    parser.add_argument("--seconds", type=float, default=30.0, help="approximate time for each figure, all sides")
    parser.add_argument("--rounds", type=int, default=5, help="least number of turns of each side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here; other rows in the file stay")
    settings = parser.parse_args()
    settings.task = settings.task or list(BENCHMARKS)
    if unknown := set(settings.task) - set(BENCHMARKS):
        parser.error(f"no task {', '.join(sorted(unknown))}: {' or '.join(BENCHMARKS)}")
    return settings


if __name__ == "__main__":
    main()
