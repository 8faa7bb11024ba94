"""``language --unit roll``: which notes sound next in a piece. Many to many, aligned, several units a step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from seriatim.data.buckets import pad
from seriatim.data.files import content_hash
from seriatim.data.rolls import Roll, read_rolls
from seriatim.data.splits import split_indices
from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.loop import Outcome, TrainingPlan, fit
from seriatim.learning.observer import Observer
from seriatim.models.contract import Carry, Trainable
from seriatim.models.roll import NoteChances, NoteFrequencies, NoteTransitions, RollBatch, RollModel
from seriatim.tasks.common.epochs import epochs, in_order
from seriatim.tasks.common.fitting import closed_form
from seriatim.tasks.options import LanguageOptions
from seriatim.tasks.task import Fresh, GenerateRequest, Model, Prepared, Row, Scores, Task

Array = np.ndarray[Any, Any]

EVALUATION_BATCH = 32
REFUSED = ("tie", "vocab_size", "embedding", "order")
"""Options of a text's units."""


@dataclass(frozen=True)
class Notes:
    """What a step of a roll is made of."""

    count: int

    def to_json(self) -> dict[str, Any]:
        return {"unit": "roll", "notes": self.count}


@dataclass(frozen=True)
class Pieces:
    """Rolls [T, K], and batches of them."""

    rolls: list[Roll]

    @property
    def steps(self) -> int:
        """Of all pieces together."""
        return int(self.lengths.sum())

    @property
    def lengths(self) -> Array:
        """Steps of each piece, [N]."""
        return np.array([len(one) for one in self.rolls])

    def batch(self, indices: Array) -> RollBatch:
        """Pad the pieces at ``indices`` into one batch."""
        notes, lengths = pad([self.rolls[index] for index in indices], 0)
        return RollBatch(torch.from_numpy(notes).float(), torch.from_numpy(lengths))


@final
class RollLanguage(Task[LanguageOptions, Pieces, Notes]):
    """Models of piano rolls: recurrent, convolutional, attending, note frequencies and transitions."""

    name = "language"
    options = LanguageOptions
    main_score = "nll"
    higher_is_better = False
    baselines = ("unigram", "markov")
    neural_baselines = ()
    piped_format = "npy"
    codec_files = ("vocabulary.json",)
    writing = "continues"

    def check(self, options: LanguageOptions) -> None:
        if options.bidirectional:
            raise UsageError("bidirectional: a language model must not see what it predicts")
        if options.model in ("cbow", "window"):
            raise UsageError(f"model: '{options.model}' reads one unit a step, not the several of --unit roll")
        for name in REFUSED:
            if getattr(options, name):
                raise UsageError(f"{name}: for units of text, not --unit roll")

    def prepare(self, options: LanguageOptions, source: object, codec: Notes | None = None) -> Prepared[Pieces, Notes]:
        whole = read_rolls(source, notes=codec.count if codec else None)
        given = {
            part: read_rolls(Path(path), notes=whole.notes).pieces
            for part, path in (("valid", options.valid), ("test", options.test))
            if path
        }
        pieces = whole.pieces
        cut = whole.parts() or {
            name: [pieces[index] for index in some]
            for name, some in split_indices(given, [""] * len(pieces), None, options.seed).items()
        }
        parts = {**cut, **given}
        split = {name: Pieces(pieces) for name, pieces in parts.items()}
        for name, part in split.items():
            if not part.rolls:
                raise DataError(f"{name} part: no pieces; too little data")
        return Prepared(
            split["train"],
            split["valid"],
            split["test"],
            codec=Notes(whole.notes),
            sizes={name: part.steps for name, part in split.items()},
            hash=content_hash(whole.pieces, *given.values()),
        )

    def read(self, options: LanguageOptions, codec: Notes, source: object) -> Fresh[Pieces]:
        pieces = Pieces(read_rolls(source, notes=codec.count).pieces)
        return Fresh(pieces, pieces.steps, content_hash(pieces.rolls))

    def codec(self, content: dict[str, Any]) -> Notes:
        return Notes(int(content["notes"]))

    def make(self, options: LanguageOptions, codec: Notes) -> Model:
        makers: dict[str, Callable[[], Model]] = {
            "unigram": lambda: NoteFrequencies(codec.count),
            "markov": lambda: NoteTransitions(codec.count),
        }
        return makers.get(options.model, lambda: RollModel(options, codec.count))()

    def fit(
        self,
        model: Model,
        options: LanguageOptions,
        data: Prepared[Pieces, Notes],
        keeper: CheckpointStore,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, NoteChances):
            with closed_form() as timer:
                model.fit(data.train.rolls)
            return timer.outcome()
        assert isinstance(model, Trainable)
        course = TrainingPlan(
            epoch=epochs(data.train, options),
            validate=lambda network: {"valid_nll": _per_step(network, data.valid)},
            monitor="valid_nll",
        )
        return fit(model, course, options, keeper, observer)

    def beside(self, options: LanguageOptions, baseline: str) -> LanguageOptions:
        return LanguageOptions(unit="roll", model=baseline)

    def score(self, model: Model, options: LanguageOptions, codec: Notes, split: Pieces) -> Scores:
        """Score the mean over all steps of the negative log-probability, summed over notes."""
        return {"nll": _per_step(model, split)}

    def predict(self, model: Model, options: LanguageOptions, codec: Notes, source: object) -> Iterator[Row]:
        """Give the joint log-probability of each piece."""
        pieces = Pieces(read_rolls(source, notes=codec.count).pieces)
        for number, (roll, joint) in enumerate(zip(pieces.rolls, log_probabilities(model, pieces), strict=True), 1):
            yield {"piece": number, "steps": len(roll), "log_probability": joint, "nll": -joint / len(roll)}

    def generate(self, model: Model, options: LanguageOptions, codec: Notes, request: GenerateRequest) -> Iterator[str]:
        """Write a piece from silence: a JSON line per step, with the numbers (from 0) of the notes that sound."""
        for name in ("prompt", "top_k", "stop"):
            if getattr(request, name):
                raise UsageError(f"{name}: for text, not for the piano rolls of this run")
        if request.top_p != 1.0 or request.repetition_penalty != 1.0:
            raise UsageError("top_p, repetition_penalty: for text, not for the piano rolls of this run")
        return _written(model, codec.count, request)


def log_probabilities(model: Model, pieces: Pieces) -> list[float]:
    """Return the joint log-probability of each piece in nats."""
    if isinstance(model, NoteChances):
        return [model.log_probability(roll) for roll in pieces.rolls]
    assert isinstance(model, RollModel)
    model.eval()
    joint = np.zeros(len(pieces.rolls))
    with torch.no_grad():
        batches = in_order(pieces, EVALUATION_BATCH)
        for indices, batch in zip(batches.order, batches, strict=True):
            joint[indices] = -model.losses(batch).double().sum(0).numpy()
    found: list[float] = joint.tolist()
    return found


def _per_step(model: Model, pieces: Pieces) -> float:
    return -sum(log_probabilities(model, pieces)) / pieces.steps


def _written(model: Model, count: int, request: GenerateRequest) -> Iterator[str]:
    generator = np.random.default_rng(request.seed)
    notes = np.zeros(count, np.float32)
    carry: Carry = ()
    for step in range(1, request.length + 1):
        chances, carry = _chances(model, notes, carry, request.temperature)
        notes = (generator.random(count) < chances).astype(np.float32)
        yield json.dumps({"step": step, "notes": np.flatnonzero(notes).tolist()}) + "\n"


@torch.no_grad()
def _chances(model: Model, notes: Array, carry: Carry, temperature: float) -> tuple[Array, Carry]:
    """Return the chance of each note [K] after ``notes``, made bolder or safer, and what to carry on."""
    if isinstance(model, NoteChances):
        chances = model.step(notes)
        logits = np.log(chances) - np.log1p(-chances)
    else:
        assert isinstance(model, RollModel)
        found, carry = model.eval()(torch.from_numpy(notes)[None, None], carry)
        logits = found[0, 0].double().numpy()
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits / temperature)) if temperature else (logits > 0) * 1.0, carry
