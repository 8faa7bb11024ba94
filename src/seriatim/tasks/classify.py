"""``classify``: which class a text, a recording or a numeric sequence belongs to. Many to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from torch.nn import functional

from seriatim.data.files import content_hash, split_lines
from seriatim.data.sequence_collection import Sequences
from seriatim.data.sound import SoundReader
from seriatim.decoding.mixing import SMALLEST_CHANCE
from seriatim.encoding.labels import Labels
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError
from seriatim.learning.plan import TrainingPlan
from seriatim.models.classifier import Bag, RecurrentClassifier, SequenceBatch, SequenceClassifier
from seriatim.models.lstm_fcn import LstmFcn
from seriatim.models.naive.majority import Majority
from seriatim.models.naive.nearest_sequence import NearestSequence
from seriatim.models.naive.rocket import RocketClassifier
from seriatim.models.naive.tfidf import TfidfClassifier
from seriatim.models.recurrent import embedding_width
from seriatim.tasks.common import sequence_inputs
from seriatim.tasks.common.augmentation import sequence_epochs
from seriatim.tasks.common.baseline_time import baseline_seconds
from seriatim.tasks.common.blend import Blend, Choice, Member, choose_probabilities
from seriatim.tasks.common.epochs import scheduled_updates
from seriatim.tasks.common.parts import PARTS, read_parts
from seriatim.tasks.common.sequence_inputs import Array, InputCodec
from seriatim.tasks.common.subwords import WordForms, check_subwords
from seriatim.tasks.common.unseen import extend_labels
from seriatim.tasks.options import CLASSIFY_BASELINES, ClassifyOptions
from seriatim.tasks.options.sequence import UNHEARD_SPEAKER_DEFAULTS
from seriatim.tasks.task import ClosedForm, DataOptions, NewData, PreparedData, Row, Scores, Task, WordCorpus

NaiveClassifier = Majority | TfidfClassifier | NearestSequence | RocketClassifier
Classifier = NaiveClassifier | SequenceClassifier

EPOCHS, LEAST_UPDATES = 4, 1000
"""The end of the default schedule; docs/defaults.md has the experiments."""


@dataclass(frozen=True)
class ClassifyCodec:
    """The codec of raw sequences and labels."""

    labels: Labels
    inputs: InputCodec

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The vocabulary of texts; None for numbers and sound."""
        return self.inputs.vocabulary

    def to_json(self) -> dict[str, Any]:
        return {"labels": self.labels.to_json(), "inputs": self.inputs.to_json()}


@dataclass(frozen=True)
class LabelledSequences:
    """Encoded sequences and their classes."""

    inputs: Sequence[Array]
    labels: Array
    """[N] int64; classes that the training part lacks have the numbers after the last class."""
    notes: tuple[str, ...] = ()
    """Notes for the user about classes that the training part lacks."""
    texts: list[str] | None = None
    """The texts as they were read; None for numbers and sound."""
    subwords: int = 0
    """The number of buckets of the words' n-grams, or 0 if words are read without them."""
    frames: Sequence[Array] = ()
    """The frames of recordings in nats, before they are scaled; nothing for texts and numbers."""

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def forms(self) -> WordForms | None:
        """The n-grams of the words, or None if words are read without them."""
        return WordForms.of(self.texts or [], self.subwords) if self.subwords else None

    @property
    def lengths(self) -> Array:
        """The number of steps of each sequence, [N]."""
        return sequence_inputs.sequence_lengths(self.inputs)

    def known(self, classes: int) -> LabelledSequences:
        """Return the sequences whose labels the training part has."""
        rows = np.flatnonzero(self.labels < classes)
        texts = None if self.texts is None else [self.texts[row] for row in rows]
        inputs = [self.inputs[row] for row in rows.tolist()]
        return LabelledSequences(inputs, self.labels[rows], texts=texts, subwords=self.subwords)

    def batch(self, indices: Array) -> SequenceBatch:
        """Pad the sequences at ``indices`` into one batch."""
        inputs, lengths = sequence_inputs.pad_inputs([self.inputs[int(index)] for index in indices])
        subwords = None if self.forms is None else self.forms.batch(indices)
        return SequenceBatch(inputs, lengths, torch.from_numpy(self.labels[indices]), subwords)


@final
class Classify(Task[ClassifyOptions, LabelledSequences, ClassifyCodec]):
    """Classification of sequences by a recurrent, convolutional, attention or feed-forward network, bag or majority."""

    name = "classify"
    options = ClassifyOptions
    main_score = "macro_f1"
    higher_is_better = True
    baselines = CLASSIFY_BASELINES
    neural_baselines = ("bag",)
    slow_baselines = ("tfidf", "nearest", "rocket")
    stdin_format = "csv"
    codec_files = ("vocabulary.json", "scaler.json")
    exported_columns = ("text", "sound", "channels", "id", "time", "date_format")

    def codec_file(self, codec: ClassifyCodec) -> str:
        return codec.inputs.file

    def model_defaults(self, explicit: Mapping[str, object]) -> Mapping[str, object]:
        has_speakers = explicit.get("sound") and explicit.get("group")
        return {**super().model_defaults(explicit), **(UNHEARD_SPEAKER_DEFAULTS if has_speakers else {})}

    def data_options(self, explicit: Mapping[str, object], data: object | None) -> DataOptions:
        network = sequence_inputs.network_of_numbers(explicit, data)
        grams = sequence_inputs.grams_of_texts(explicit, data, CLASSIFY_BASELINES)
        return replace(network, options={**network.options, **grams})

    def check(self, options: ClassifyOptions) -> None:
        sequence_inputs.check_sequence_options(options)
        check_subwords(options, CLASSIFY_BASELINES)

    def prepare(
        self, options: ClassifyOptions, source: object, codec: ClassifyCodec | None = None
    ) -> PreparedData[LabelledSequences, ClassifyCodec]:
        reader = sequence_inputs.sound_reader(options, codec.inputs.sound if codec else None)
        raw = read_parts(options, source, lambda path: _read(options, path, reader), labels=_labels)
        sequence_inputs.check_form(options, raw.train)
        labels = codec.labels if codec else Labels.fit(_labels(raw.train))
        if len(labels.names) < 2:
            raise DataError(f"label: a single class '{labels.names[0]}' in the training part, wanted at least 2")
        codec = codec or ClassifyCodec(labels, InputCodec.fit(options, raw.train, reader.features))
        parts = {name: _encode(codec, getattr(raw, name), f"{name} part") for name in PARTS}
        return PreparedData(
            **parts,
            codec=codec,
            sizes={name: len(part) for name, part in parts.items()},
            hash=raw.hash,
            notes=(
                *raw.notes,
                *parts["valid"].notes,
                *parts["test"].notes,
                *sequence_inputs.text_notes(options, codec.inputs, raw.train, parts["valid"].inputs),
            ),
        )

    def read(self, options: ClassifyOptions, codec: ClassifyCodec, source: object) -> NewData[LabelledSequences]:
        sequences = _read(options, source, sequence_inputs.sound_reader(options, codec.inputs.sound))
        part = _encode(codec, sequences, "new data")
        return NewData(part, len(part), content_hash(sequences.content), part.notes)

    def from_lines(self, text: str) -> object:
        return split_lines(text)

    def codec_from_json(self, content: dict[str, Any]) -> ClassifyCodec:
        return ClassifyCodec(Labels.from_json(content["labels"]), InputCodec.from_json(content["inputs"]))

    def word_corpus(self, data: PreparedData[LabelledSequences, ClassifyCodec]) -> WordCorpus | None:
        return sequence_inputs.word_corpus(data.codec.inputs, data.train.inputs)

    def make(self, options: ClassifyOptions, codec: ClassifyCodec) -> Classifier:
        size, classes = codec.inputs.size(), len(codec.labels.names)
        makers: dict[str, Callable[[], Classifier]] = {
            "majority": lambda: Majority(classes),
            "bag": lambda: Bag(size, embedding_width(options), classes),
            "tfidf": lambda: TfidfClassifier(classes),
            "nearest": lambda: NearestSequence(classes),
            "rocket": lambda: RocketClassifier(classes),
            "lstm_fcn": lambda: LstmFcn(options, size, classes, pool=options.pool),
        }

        def network() -> Classifier:
            return RecurrentClassifier(options, size, classes, pool=options.pool, word_dropout=options.word_dropout)

        return makers.get(options.model, network)()

    def plan(
        self, model: Classifier, options: ClassifyOptions, data: PreparedData[LabelledSequences, ClassifyCodec]
    ) -> TrainingPlan[Any] | ClosedForm:
        if not isinstance(model, SequenceClassifier):
            return ClosedForm(lambda: _fit_naive(model, options, data))
        epoch = sequence_epochs(data.train, options, data.codec.inputs)
        return TrainingPlan(
            epoch=epoch,
            validate=lambda _: _validation_scores(model, data.valid),
            monitor="valid_nll",
            updates=scheduled_updates(len(epoch(0)), epochs=EPOCHS, least=LEAST_UPDATES),
        )

    def with_replay(self, new: LabelledSequences, old: LabelledSequences, share: float, seed: int) -> LabelledSequences:
        indices = np.random.default_rng(seed).permutation(len(old))[: round(share * len(new))]
        inputs = [*new.inputs, *(old.inputs[index] for index in indices)]
        frames = [*new.frames, *(old.frames[index] for index in indices)] if new.frames else ()
        texts = None if new.texts is None else [*new.texts, *((old.texts or [])[index] for index in indices)]
        labels = np.concatenate([new.labels, old.labels[indices]])
        return LabelledSequences(inputs, labels, texts=texts, subwords=new.subwords, frames=frames)

    def baseline_options(self, options: ClassifyOptions, baseline: str) -> ClassifyOptions:
        return sequence_inputs.bag_options(options, baseline)

    def suits(self, baseline: str, data: PreparedData[LabelledSequences, ClassifyCodec]) -> bool:
        return sequence_inputs.can_read(baseline, data.train.texts is not None)

    def choose(self, members: Mapping[str, Member], codec: ClassifyCodec, valid: LabelledSequences) -> Choice:
        known = valid.known(len(codec.labels.names))
        log_chances = {
            name: np.log(np.maximum(probabilities(member.model, known), SMALLEST_CHANCE))
            for name, member in members.items()
        }
        return choose_probabilities(log_chances, known.labels)

    def score(
        self, model: Classifier | Blend, options: ClassifyOptions, codec: ClassifyCodec, part: LabelledSequences
    ) -> Scores:
        from sklearn.metrics import accuracy_score, f1_score  # slow to import, needed only here

        choices = probabilities(model, part).argmax(1)
        macro = f1_score(part.labels, choices, average="macro", zero_division=0.0)
        return {"accuracy": float(accuracy_score(part.labels, choices)), "macro_f1": float(macro)}

    def predict(
        self, model: Classifier | Blend, options: ClassifyOptions, codec: ClassifyCodec, source: object
    ) -> Iterator[Row]:
        """Yield the class of each sequence and the probability of every class."""
        reader = sequence_inputs.sound_reader(options, codec.inputs.sound)
        sequences = _read(options, source, reader, need_label=False)
        names = codec.labels.names
        inputs, texts = codec.inputs.encode(sequences), sequence_inputs.texts_of(sequences)
        part = LabelledSequences(inputs, np.zeros(len(inputs), np.int64), texts=texts, subwords=codec.inputs.subwords)
        for index, row in enumerate(probabilities(model, part)):
            best = int(row.argmax())
            yield {
                "row": index + 1,
                "label": names[best],
                "probability": float(row[best]),
                "probabilities": {name: float(value) for name, value in zip(names, row, strict=True)},
            }


def probabilities(model: Classifier | Blend, part: LabelledSequences) -> Array:
    """Return the probability of each class for each sequence, ``[N, K]``."""
    if isinstance(model, Blend):
        chances = model.each(lambda member: probabilities(member.model, part))
        mixed: Array = np.exp(model.mix(np.log(np.maximum(chances, SMALLEST_CHANCE))))
        return mixed
    if isinstance(model, Majority):
        return model.probabilities(len(part))
    if isinstance(model, TfidfClassifier):
        return model.probabilities(part.texts or [])
    if not isinstance(model, SequenceClassifier):
        return model.probabilities(part.inputs)
    logits = torch.from_numpy(sequence_inputs.run_network(model, part.inputs, part.forms))
    result: Array = torch.softmax(logits, -1).numpy()
    return result


def _read(options: ClassifyOptions, source: object, reader: SoundReader, need_label: bool = True) -> Sequences:
    return sequence_inputs.read(options, source, reader, need_label=need_label, label=options.label)


def _encode(codec: ClassifyCodec, sequences: Sequences, place: str) -> LabelledSequences:
    """Encode sequences and labels. ``place`` names the data in a note about labels that the training part lacks."""
    labels = _labels(sequences)
    extended, notes = extend_labels(codec.labels, labels, sequences.locations, place)
    inputs, texts = codec.inputs.encode(sequences), sequence_inputs.texts_of(sequences)
    frames = sequence_inputs.frames_of(codec.inputs, sequences)
    return LabelledSequences(inputs, extended.encode(labels), tuple(notes), texts, codec.inputs.subwords, frames)


def _fit_naive(
    model: NaiveClassifier, options: ClassifyOptions, data: PreparedData[LabelledSequences, ClassifyCodec]
) -> str:
    """Fit a model that is not a network, within the time of a baseline. Returns the part that it allowed, in words."""
    train, valid, seconds = data.train, data.valid, baseline_seconds(options)
    if isinstance(model, Majority):
        model.fit(train.labels)
        return ""
    if isinstance(model, TfidfClassifier):
        return model.fit(train.texts or [], train.labels, seconds=seconds, seed=options.seed)
    valid = valid.known(len(data.codec.labels.names))
    return model.fit(train.inputs, train.labels, valid.inputs, valid.labels, seconds=seconds, seed=options.seed)


def _labels(sequences: Sequences) -> list[str]:
    assert sequences.labels is not None
    return sequences.labels


def _validation_scores(network: SequenceClassifier, part: LabelledSequences) -> Scores:
    """Return the accuracy on ``part``, and the mean NLL of the labels that the training part has."""
    chances = probabilities(network, part)
    is_known = part.labels < chances.shape[1]
    logs = torch.from_numpy(chances[is_known]).clamp(min=1e-300).log()
    nll = functional.nll_loss(logs, torch.from_numpy(part.labels[is_known]))
    return {"valid_nll": float(nll), "valid_accuracy": float(np.mean(chances.argmax(1) == part.labels))}
