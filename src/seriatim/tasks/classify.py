"""``classify``: which class a text, a recording or a numeric sequence belongs to. Many to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch.nn import functional

from seriatim.data.files import content_hash
from seriatim.data.sequences import Sequences
from seriatim.data.sound import SoundReader
from seriatim.encoding.labels import Labels
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.loop import Outcome, TrainingPlan, fit
from seriatim.learning.observer import Observer
from seriatim.models.classifier import Bag, RecurrentClassifier, SequenceBatch, SequenceClassifier
from seriatim.models.contract import Trainable
from seriatim.models.naive.majority import Majority
from seriatim.models.recurrent import embedding_width
from seriatim.tasks.common import examples
from seriatim.tasks.common.epochs import epochs
from seriatim.tasks.common.examples import Array, InputReader
from seriatim.tasks.common.fitting import closed_form
from seriatim.tasks.common.parts import PARTS, read_parts
from seriatim.tasks.options import CLASSIFY_BASELINES, ClassifyOptions
from seriatim.tasks.task import Fresh, Model, Prepared, Row, Scores, Task, Words


@dataclass(frozen=True)
class Reader:
    """Turns raw sequences and labels into arrays."""

    labels: Labels
    inputs: InputReader

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Of texts."""
        return self.inputs.vocabulary

    def to_json(self) -> dict[str, Any]:
        return {"labels": self.labels.to_json(), "inputs": self.inputs.to_json()}


@dataclass(frozen=True)
class Examples:
    """Encoded sequences and their classes."""

    inputs: list[Array]
    labels: Array
    """[N] int64."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> Array:
        """Steps of each sequence, [N]."""
        return examples.lengths(self.inputs)

    def batch(self, indices: Array) -> SequenceBatch:
        """Pad the sequences at ``indices`` into one batch."""
        inputs, lengths = examples.padded([self.inputs[index] for index in indices])
        return SequenceBatch(inputs, lengths, torch.from_numpy(self.labels[indices]))


@final
class Classify(Task[ClassifyOptions, Examples, Reader]):
    """Sequence classifiers: recurrent, convolutional, attending, feed-forward, bag, majority."""

    name = "classify"
    options = ClassifyOptions
    main_score = "macro_f1"
    higher_is_better = True
    baselines = CLASSIFY_BASELINES
    neural_baselines = ("bag",)
    piped_format = "csv"
    codec_files = ("vocabulary.json", "scaler.json")

    def codec_file(self, codec: Reader) -> str:
        return codec.inputs.file

    def check(self, options: ClassifyOptions) -> None:
        examples.check_sequences(options)

    def prepare(
        self, options: ClassifyOptions, source: object, codec: Reader | None = None
    ) -> Prepared[Examples, Reader]:
        listening = examples.listener(options, codec.inputs.sound if codec else None)
        parts = read_parts(options, source, lambda one: _read(options, one, listening), labels=_labels)
        labels = codec.labels if codec else Labels.fit(_labels(parts.train))
        if len(labels.names) < 2:
            raise DataError(f"label: a single class '{labels.names[0]}' in the training part, wanted at least 2")
        reader = codec or Reader(labels, InputReader.fit(options, parts.train, listening.features))
        split = {name: _encode(reader, getattr(parts, name), name) for name in PARTS}
        return Prepared(
            **split,
            codec=reader,
            sizes={name: len(part) for name, part in split.items()},
            hash=parts.hash,
            notes=(*parts.notes, *examples.unknown(options, split["valid"].inputs)),
        )

    def read(self, options: ClassifyOptions, codec: Reader, source: object) -> Fresh[Examples]:
        sequences = _read(options, source, examples.listener(options, codec.inputs.sound))
        encoded = _encode(codec, sequences, "new")
        return Fresh(encoded, len(encoded), content_hash(sequences.content))

    def from_lines(self, text: str) -> object:
        return text.splitlines()

    def codec(self, content: dict[str, Any]) -> Reader:
        return Reader(Labels.from_json(content["labels"]), InputReader.from_json(content["inputs"]))

    def words(self, data: Prepared[Examples, Reader]) -> Words | None:
        return examples.words(data.codec.inputs, data.train.inputs)

    def make(self, options: ClassifyOptions, codec: Reader) -> Model:
        size, classes = codec.inputs.size(), len(codec.labels.names)
        makers: dict[str, Callable[[], Model]] = {
            "majority": lambda: Majority(classes),
            "bag": lambda: Bag(size, embedding_width(options), classes),
        }
        return makers.get(options.model, lambda: RecurrentClassifier(options, size, classes, pool=options.pool))()

    def fit(
        self,
        model: Model,
        options: ClassifyOptions,
        data: Prepared[Examples, Reader],
        keeper: CheckpointStore,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, Majority):
            with closed_form() as timer:
                model.fit(data.train.labels)
            return timer.outcome()
        assert isinstance(model, Trainable)
        course = TrainingPlan(
            epoch=epochs(data.train, options, batch_tokens=options.batch_tokens),
            validate=lambda network: _validation(network, data.valid),
            monitor="valid_nll",
        )
        return fit(model, course, options, keeper, observer)

    def replayed(self, new: Examples, old: Examples, share: float, seed: int) -> Examples:
        drawn = np.random.default_rng(seed).permutation(len(old))[: round(share * len(new))]
        inputs = [*new.inputs, *(old.inputs[index] for index in drawn)]
        return Examples(inputs, np.concatenate([new.labels, old.labels[drawn]]))

    def beside(self, options: ClassifyOptions, baseline: str) -> ClassifyOptions:
        return examples.beside_bag(options, baseline)

    def score(self, model: Model, options: ClassifyOptions, codec: Reader, split: Examples) -> Scores:
        from sklearn.metrics import accuracy_score, f1_score  # slow to import, needed only here

        choices = probabilities(model, split.inputs).argmax(1)
        macro = f1_score(split.labels, choices, average="macro", zero_division=0.0)
        return {"accuracy": float(accuracy_score(split.labels, choices)), "macro_f1": float(macro)}

    def predict(self, model: Model, options: ClassifyOptions, codec: Reader, source: object) -> Iterator[Row]:
        """Give the class of each sequence and the probability of every class."""
        listening = examples.listener(options, codec.inputs.sound)
        sequences = _read(options, source, listening, need_label=False)
        names = codec.labels.names
        for number, row in enumerate(probabilities(model, codec.inputs.encode(sequences))):
            best = int(row.argmax())
            yield {
                "row": number + 1,
                "label": names[best],
                "probability": float(row[best]),
                "probabilities": {name: float(value) for name, value in zip(names, row, strict=True)},
            }


def probabilities(model: Model, inputs: list[Array]) -> Array:
    """Return the probability of each class for each sequence, ``[N, K]``."""
    if isinstance(model, Majority):
        return model.probabilities(len(inputs))
    assert isinstance(model, SequenceClassifier)
    logits = torch.from_numpy(examples.outputs(model, inputs))
    chances: Array = torch.softmax(logits, -1).numpy()
    return chances


def _read(options: ClassifyOptions, source: object, listening: SoundReader, need_label: bool = True) -> Sequences:
    return examples.read(options, source, listening, need_label=need_label, label=options.label)


def _encode(reader: Reader, sequences: Sequences, part: str) -> Examples:
    known = set(reader.labels.names)
    for place, label in zip(sequences.locations, _labels(sequences), strict=True):
        if label not in known:
            raise DataError(f"{place}: label '{label}' is in the {part} part but not in the training part")
    return Examples(reader.inputs.encode(sequences), reader.labels.encode(_labels(sequences)))


def _labels(sequences: Sequences) -> list[str]:
    assert sequences.labels is not None
    return sequences.labels


def _validation(network: Trainable[Any], split: Examples) -> Scores:
    chances = probabilities(network, split.inputs)
    nll = functional.nll_loss(torch.from_numpy(chances).clamp(min=1e-300).log(), torch.from_numpy(split.labels))
    return {"valid_nll": float(nll), "valid_accuracy": float(np.mean(chances.argmax(1) == split.labels))}
