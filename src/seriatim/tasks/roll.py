"""``language --unit roll``: predicts the notes of the next step of a piece. Many to many, several units a step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from seriatim.data.files import content_hash
from seriatim.data.rolls import Roll, read_rolls
from seriatim.data.splits import split_indices
from seriatim.encoding.buckets import pad
from seriatim.errors import DataError, UsageError
from seriatim.learning.plan import TrainingPlan
from seriatim.models.naive.note_chances import NoteChances, NoteFrequencies, NoteTransitions
from seriatim.models.roll import RollBatch, RollModel, RollNetwork
from seriatim.tasks.common.blend import Blend, Choice, Member, choose_linear
from seriatim.tasks.common.epochs import epochs, evaluation_batches
from seriatim.tasks.options import LanguageOptions
from seriatim.tasks.task import ClosedForm, GenerateRequest, NewData, PreparedData, Row, Scores, Task

Array = np.ndarray[Any, Any]

EVALUATION_BATCH = 32
TEXT_OPTIONS = ("tie", "vocab_size", "embedding", "order")
"""Options that are refused for piano rolls."""

AnyRollModel = NoteChances | RollNetwork
JUDGED_NOTES = 1_000_000
"""The most notes of the validation part, on or off, that the weights of a blend are fitted on."""


@dataclass(frozen=True)
class RollCodec:
    """The codec of piano rolls: the number of notes."""

    count: int

    def to_json(self) -> dict[str, Any]:
        return {"unit": "roll", "notes": self.count}


@dataclass(frozen=True)
class Pieces:
    """Rolls [T, K], and batches of them."""

    rolls: list[Roll]

    @property
    def steps(self) -> int:
        """The number of steps of all pieces together."""
        return int(self.lengths.sum())

    @property
    def lengths(self) -> Array:
        """The number of steps of each piece, [N]."""
        return np.array([len(roll) for roll in self.rolls])

    def batch(self, indices: Array) -> RollBatch:
        """Pad the pieces at ``indices`` into one batch."""
        notes, lengths = pad([self.rolls[index] for index in indices], 0)
        return RollBatch(torch.from_numpy(notes).float(), torch.from_numpy(lengths))


@final
class RollLanguage(Task[LanguageOptions, Pieces, RollCodec]):
    """Models of piano rolls: recurrent, convolutional or attention networks, note frequencies and transitions."""

    name = "language"
    options = LanguageOptions
    main_score = "nll"
    higher_is_better = False
    baselines = ("unigram", "markov")
    neural_baselines = ()
    stdin_format = "npy"
    codec_files = ("vocabulary.json",)
    writing = "continues"

    def check(self, options: LanguageOptions) -> None:
        if options.bidirectional:
            raise UsageError("bidirectional: a language model must not see what it predicts")
        if options.model in ("cbow", "window"):
            raise UsageError(f"model: '{options.model}' reads one unit a step, not the several of --unit roll")
        for name in TEXT_OPTIONS:
            if getattr(options, name):
                raise UsageError(f"{name}: for units of text, not --unit roll")

    def prepare(
        self, options: LanguageOptions, source: object, codec: RollCodec | None = None
    ) -> PreparedData[Pieces, RollCodec]:
        whole = read_rolls(source, notes=codec.count if codec else None)
        fixed = {
            name: read_rolls(Path(path), notes=whole.notes).pieces
            for name, path in (("valid", options.valid), ("test", options.test))
            if path
        }
        pieces = whole.pieces
        rolls = whole.parts() or {
            name: [pieces[index] for index in indices]
            for name, indices in split_indices(fixed, [""] * len(pieces), None, options.seed).items()
        }
        parts = {name: Pieces(part) for name, part in (rolls | fixed).items()}
        for name, part in parts.items():
            if not part.rolls:
                raise DataError(f"{name} part: no pieces; too little data")
        return PreparedData(
            parts["train"],
            parts["valid"],
            parts["test"],
            codec=RollCodec(whole.notes),
            sizes={name: part.steps for name, part in parts.items()},
            hash=content_hash(whole.pieces, *fixed.values()),
        )

    def read(self, options: LanguageOptions, codec: RollCodec, source: object) -> NewData[Pieces]:
        pieces = Pieces(read_rolls(source, notes=codec.count).pieces)
        return NewData(pieces, pieces.steps, content_hash(pieces.rolls))

    def codec_from_json(self, content: dict[str, Any]) -> RollCodec:
        return RollCodec(int(content["notes"]))

    def make(self, options: LanguageOptions, codec: RollCodec) -> AnyRollModel:
        makers: dict[str, Callable[[], AnyRollModel]] = {
            "unigram": lambda: NoteFrequencies(codec.count),
            "markov": lambda: NoteTransitions(codec.count),
        }
        return makers.get(options.model, lambda: RollModel(options, codec.count))()

    def plan(
        self, model: AnyRollModel, options: LanguageOptions, data: PreparedData[Pieces, RollCodec]
    ) -> TrainingPlan[Any] | ClosedForm:
        if isinstance(model, NoteChances):
            return ClosedForm(lambda: model.fit(data.train.rolls))
        return TrainingPlan(
            epoch=epochs(data.train, options),
            validate=lambda _: {"valid_nll": _nll_per_step(model, data.valid)},
            monitor="valid_nll",
        )

    def baseline_options(self, options: LanguageOptions, baseline: str) -> LanguageOptions:
        return LanguageOptions(unit="roll", model=baseline)

    def choose(self, members: Mapping[str, Member], codec: RollCodec, valid: Pieces) -> Choice:
        """Choose by the probability of each note of each step, which is on or off."""
        chances = {name: np.concatenate(log_chances(member.model, valid), 0) for name, member in members.items()}
        step = -(-valid.steps * codec.count // JUDGED_NOTES)
        return choose_linear({name: array[::step].ravel() for name, array in chances.items()})

    def score(self, model: AnyRollModel | Blend, options: LanguageOptions, codec: RollCodec, part: Pieces) -> Scores:
        """Score the negative log-probability of a step, summed over notes, as a mean over all steps."""
        return {"nll": _nll_per_step(model, part)}

    def predict(
        self, model: AnyRollModel | Blend, options: LanguageOptions, codec: RollCodec, source: object
    ) -> Iterator[Row]:
        """Yield the joint log-probability of each piece."""
        pieces = Pieces(read_rolls(source, notes=codec.count).pieces)
        for number, (roll, joint) in enumerate(zip(pieces.rolls, log_probabilities(model, pieces), strict=True), 1):
            yield {"piece": number, "steps": len(roll), "log_probability": joint, "nll": -joint / len(roll)}

    def generate(
        self, model: AnyRollModel | Blend, options: LanguageOptions, codec: RollCodec, request: GenerateRequest
    ) -> Iterator[str]:
        """Write a piece that begins with silence: a JSON line per step with the numbers (from 0) of its notes."""
        for name in ("prompt", "top_k", "stop"):
            if getattr(request, name):
                raise UsageError(f"{name}: for text, not for the piano rolls of this run")
        if request.top_p != 1.0 or request.repetition_penalty != 1.0:
            raise UsageError("top_p, repetition_penalty: for text, not for the piano rolls of this run")
        return _generate(model, codec.count, request)


def log_probabilities(model: AnyRollModel | Blend, pieces: Pieces) -> list[float]:
    """Return the joint log-probability of each piece in nats."""
    if isinstance(model, Blend):
        return [float(chances.sum()) for chances in log_chances(model, pieces)]
    if isinstance(model, NoteChances):
        return [model.log_probability(roll) for roll in pieces.rolls]
    model.eval()
    joint = np.zeros(len(pieces.rolls))
    with torch.no_grad():
        batches = evaluation_batches(pieces, EVALUATION_BATCH)
        for indices, batch in zip(batches.order, batches, strict=True):
            joint[indices] = -model.losses(batch).double().sum(0).numpy()
    result: list[float] = joint.tolist()
    return result


def log_chances(model: AnyRollModel | Blend, pieces: Pieces) -> list[Array]:
    """Return the log-probability of each note of each step, which is on or off, [T, K] for each piece."""
    if isinstance(model, Blend):
        parts = [log_chances(member.model, pieces) for member in model.members]
        return [model.mix(np.stack(piece)) for piece in zip(*parts, strict=True)]
    if isinstance(model, NoteChances):
        chances = [model.chances_of(roll) for roll in pieces.rolls]
        return [np.log(np.where(roll > 0, own, 1 - own)) for roll, own in zip(pieces.rolls, chances, strict=True)]
    model.eval()
    result: list[Array] = [np.zeros(0)] * len(pieces.rolls)
    with torch.no_grad():
        batches = evaluation_batches(pieces, EVALUATION_BATCH)
        for indices, batch in zip(batches.order, batches, strict=True):
            losses = model.note_losses(batch).double().numpy()
            for row, (index, length) in enumerate(zip(indices, batch.lengths.tolist(), strict=True)):
                result[index] = -losses[:length, row]
    return result


def _nll_per_step(model: AnyRollModel | Blend, pieces: Pieces) -> float:
    return -sum(log_probabilities(model, pieces)) / pieces.steps


def _generate(model: AnyRollModel | Blend, count: int, request: GenerateRequest) -> Iterator[str]:
    generator = np.random.default_rng(request.seed)
    notes = np.zeros(count, np.float32)
    carry: Any = ()
    for step in range(1, request.length + 1):
        logits, carry = _next_logits(model, notes, carry)
        with np.errstate(over="ignore"):
            chances = 1 / (1 + np.exp(-logits / request.temperature)) if request.temperature else (logits > 0) * 1.0
        notes = (generator.random(count) < chances).astype(np.float32)
        yield json.dumps({"step": step, "notes": np.flatnonzero(notes).tolist()}) + "\n"


@torch.no_grad()
def _next_logits(model: AnyRollModel | Blend, notes: Array, carry: Any) -> tuple[Array, Any]:
    """Return the logit [K] of each note after ``notes``, and the new carry; that of a blend has those of its models."""
    if isinstance(model, Blend):
        carries = carry or [()] * len(model.members)
        steps = [_next_logits(member.model, notes, own) for member, own in zip(model.members, carries, strict=True)]
        logits = np.stack([own for own, _ in steps])
        on, off = (model.mix(-np.logaddexp(0, -sign * logits)) for sign in (1, -1))
        return on - off, [own for _, own in steps]
    if isinstance(model, NoteChances):
        chances = model.step(notes)
        return np.log(chances) - np.log1p(-chances), carry
    outputs, carry = model.eval()(torch.from_numpy(notes)[None, None], carry)
    return outputs[0, 0].double().numpy(), carry
