"""``classify``: which class a text or a numeric sequence belongs to. Many to one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seriatim.data.buckets import buckets, pad
from seriatim.data.files import content_hash
from seriatim.data.sequences import Sequences, read_sequences
from seriatim.data.splits import count_shared, hold_out, stratified
from seriatim.encoding.labels import Labels
from seriatim.encoding.scaler import Standardizer
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.learning.loop import Course, Keeper, Outcome, fit
from seriatim.learning.observer import Observer
from seriatim.models.classifier import Bag, InputSize, RecurrentClassifier, SequenceBatch, SequenceClassifier
from seriatim.models.contract import Trainable
from seriatim.models.majority import Majority
from seriatim.models.recurrent import embedding_width
from seriatim.notation import UNKNOWN
from seriatim.tasks.fitting import closed_form
from seriatim.tasks.options import CLASSIFY_BASELINES, ClassifyOptions
from seriatim.tasks.task import Fresh, Model, Prepared, Row, Scores, Task

Array = np.ndarray[Any, Any]

EVALUATION_BATCH = 256
DEFAULT_WORDS = 20_000
MANY_UNKNOWN = 0.2
"""Share of a text's words."""


@dataclass(frozen=True)
class Reader:
    """Turns raw sequences and labels into arrays: a vocabulary for texts, a scaler for numbers."""

    labels: Labels
    vocabulary: Vocabulary | None = None
    scaler: Standardizer | None = None

    def inputs(self, sequences: Sequences) -> list[Array]:
        """Encode each sequence: ``[T]`` int32 units, or ``[T, C]`` float32 channels."""
        if self.vocabulary is not None:
            if sequences.channels is not None:
                raise DataError(f"got numeric sequences ({sequences.channels} channels), but the model reads texts")
            return [_never_empty(self.vocabulary.encode(text)) for text in sequences.texts]
        assert self.scaler is not None
        width = len(self.scaler.mean)
        if sequences.channels != width:
            came = f"{sequences.channels} channels" if sequences.channels else "texts"
            raise DataError(f"got {came}, but the model reads sequences of {width} channels")
        return [self.scaler.transform(values).astype(np.float32) for values in sequences.arrays]

    def size(self) -> InputSize:
        """Tell what one step of a sequence is."""
        if self.vocabulary is not None:
            return InputSize(vocabulary=len(self.vocabulary))
        assert self.scaler is not None
        return InputSize(channels=len(self.scaler.mean))

    def to_json(self) -> dict[str, Any]:
        reader = self.vocabulary or self.scaler
        assert reader is not None
        return {"labels": self.labels.to_json(), "inputs": reader.to_json()}


@dataclass(frozen=True)
class Examples:
    """Encoded sequences and their classes."""

    inputs: list[Array]
    labels: Array
    """[N] int64."""

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, indices: Array) -> SequenceBatch:
        """Pad the sequences at ``indices`` into one batch."""
        inputs, lengths = _padded([self.inputs[index] for index in indices])
        return SequenceBatch(inputs, lengths, torch.from_numpy(self.labels[indices]))


@final
class Classify(Task[ClassifyOptions, Examples, Reader]):
    """Sequence classifiers: recurrent, bag, majority."""

    name = "classify"
    options = ClassifyOptions
    main_score = "macro_f1"
    higher_is_better = True
    baselines = CLASSIFY_BASELINES
    neural_baselines = ("bag",)
    piped_format = "csv"
    codec_files = ("vocabulary.json", "scaler.json")

    def codec_file(self, codec: Reader) -> str:
        return "vocabulary.json" if codec.vocabulary is not None else "scaler.json"

    def check(self, options: ClassifyOptions) -> None:
        if options.text and options.channels:
            raise UsageError("text: give either --text or --channels, not both")
        if options.channels and not options.id:
            raise UsageError("id: --channels needs --id, the column that tells sequences apart")

    def prepare(self, options: ClassifyOptions, source: object) -> Prepared[Examples, Reader]:
        whole = _read(options, source, need_label=True)
        fixed = {
            part: _read(options, Path(path), need_label=True)
            for part, path in (("valid", options.valid), ("test", options.test))
            if path
        }
        notes: list[str] = []
        if options.drop_duplicates:
            whole, dropped = whole.without_duplicates()
            notes.append(f"{dropped} duplicates dropped before splitting")
        parts = _split(whole, fixed, options.seed)
        notes += _shared_notes(parts)
        labels = Labels.fit(_labels(parts["train"]))
        if len(labels.names) < 2:
            raise DataError(f"label: a single class '{labels.names[0]}' in the training part, wanted at least 2")
        reader = _fit_reader(options, parts["train"], labels)
        train, valid, test = (_encode(reader, parts[name], name) for name in ("train", "valid", "test"))
        notes += _unknown_notes(options, valid)
        return Prepared(
            train,
            valid,
            test,
            reader,
            {name: len(part) for name, part in parts.items()},
            content_hash(*((part.inputs, part.labels) for part in (whole, *fixed.values()))),
            tuple(notes),
        )

    def read(self, options: ClassifyOptions, codec: Reader, source: object) -> Fresh[Examples]:
        sequences = _read(options, source, need_label=True)
        examples = _encode(codec, sequences, "new")
        return Fresh(examples, len(examples), content_hash((sequences.inputs, sequences.labels)))

    def from_lines(self, text: str) -> object:
        return text.splitlines()

    def codec(self, content: dict[str, Any]) -> Reader:
        labels, inputs = Labels.from_json(content["labels"]), content["inputs"]
        if "mean" in inputs:
            return Reader(labels, scaler=Standardizer.from_json(inputs))
        return Reader(labels, vocabulary=Vocabulary.from_json(inputs))

    def make(self, options: ClassifyOptions, codec: Reader) -> Model:
        size, classes = codec.size(), len(codec.labels.names)
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
        keeper: Keeper,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, Majority):
            with closed_form() as timer:
                model.fit(data.train.labels)
            return timer.outcome()
        assert isinstance(model, Trainable)
        lengths = np.array([len(one) for one in data.train.inputs])
        course = Course(
            epoch=lambda number: _Epoch(
                data.train, buckets(lengths, options.batch_size, seed=options.seed * 1_000_003 + number)
            ),
            validate=lambda network: _validation(network, data.valid),
            monitor="valid_nll",
        )
        return fit(model, course, options, keeper, observer)

    def beside(self, options: ClassifyOptions, baseline: str) -> ClassifyOptions:
        return dataclasses.replace(
            options,
            model=baseline,
            embedding=64,
            epochs=None,
            time_limit=60.0,
            optimizer="adam",
            lr=5e-3,
            schedule="plateau",
            patience=3,
            batch_size=32,
            precision="fp32",
        )

    def score(self, model: Model, options: ClassifyOptions, codec: Reader, split: Examples) -> Scores:
        from sklearn.metrics import accuracy_score, f1_score  # slow to import, needed only here

        choices = probabilities(model, split.inputs).argmax(1)
        macro = f1_score(split.labels, choices, average="macro", zero_division=0.0)
        return {"accuracy": float(accuracy_score(split.labels, choices)), "macro_f1": float(macro)}

    def predict(self, model: Model, options: ClassifyOptions, codec: Reader, source: object) -> Iterator[Row]:
        """Give the class of each sequence and the probability of every class."""
        sequences = _read(options, source, need_label=False)
        names = codec.labels.names
        for number, row in enumerate(probabilities(model, codec.inputs(sequences))):
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
    model.eval()
    result: Array | None = None
    with torch.no_grad():
        for indices in buckets(np.array([len(one) for one in inputs]), EVALUATION_BATCH, seed=None):
            logits = model(*_padded([inputs[index] for index in indices]))
            part = torch.softmax(logits.double(), -1).numpy()
            result = np.zeros((len(inputs), part.shape[1])) if result is None else result
            result[indices] = part
    assert result is not None
    return result


@dataclass(frozen=True)
class _Epoch(Sequence[SequenceBatch]):
    """The batches of one pass: sequences of like length together, in an order of their own each time."""

    examples: Examples
    order: list[Array]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: Any) -> Any:
        return self.examples.batch(self.order[position])


def _read(options: ClassifyOptions, source: object, *, need_label: bool) -> Sequences:
    return read_sequences(
        source,
        text=options.text,
        label=options.label,
        channels=options.channels,
        id=options.id,
        time=options.time,
        group=options.group if need_label else None,
        header=options.header,
        need_label=need_label,
    )


def _split(whole: Sequences, fixed: dict[str, Sequences], seed: int) -> dict[str, Sequences]:
    """Cut what was not given from ``whole``, stratified by label."""
    labels = _labels(whole)
    if not fixed:
        train, valid, test = stratified(labels, whole.groups, seed)
        return {"train": whole.take(train), "valid": whole.take(valid), "test": whole.take(test)}
    missing = [part for part in ("valid", "test") if part not in fixed]
    if not missing:
        return {"train": whole, **fixed}
    train, held = hold_out(labels, whole.groups, seed)
    return {"train": whole.take(train), **fixed, missing[0]: whole.take(held)}


def _shared_notes(parts: dict[str, Sequences]) -> Iterator[str]:
    for name in ("valid", "test"):
        shared = count_shared(parts["train"].inputs, parts[name].inputs)
        if shared:
            yield f"{name}: {shared} of {len(parts[name])} inputs also stand in the training part (--drop-duplicates)"


def _unknown_notes(options: ClassifyOptions, valid: Examples) -> Iterator[str]:
    """Tell when a vocabulary of words knows too little of new text: some languages glue their words together."""
    if options.unit == "word" and valid.inputs[0].ndim == 1:
        share = float(np.mean(np.concatenate(valid.inputs) == UNKNOWN))
        if share > MANY_UNKNOWN:
            yield f"valid: {share:.0%} of the words are unknown; --unit bpe or --unit char reads words in pieces"


def _fit_reader(options: ClassifyOptions, train: Sequences, labels: Labels) -> Reader:
    if train.channels is None:
        size = options.vocab_size or (DEFAULT_WORDS if options.unit == "word" else None)
        return Reader(labels, vocabulary=Vocabulary.fit(train.texts, options.unit, size, lines=False))
    return Reader(labels, scaler=Standardizer.fit(np.concatenate(train.arrays)))


def _encode(reader: Reader, sequences: Sequences, part: str) -> Examples:
    known = set(reader.labels.names)
    for place, label in zip(sequences.places, _labels(sequences), strict=True):
        if label not in known:
            raise DataError(f"{place}: label '{label}' is in the {part} part but not in the training part")
    if not len(sequences):
        raise DataError(f"{part} part: no sequences; too little data")
    return Examples(reader.inputs(sequences), reader.labels.encode(_labels(sequences)))


def _labels(sequences: Sequences) -> list[str]:
    assert sequences.labels is not None
    return sequences.labels


def _padded(inputs: list[Array]) -> tuple[Tensor, Tensor]:
    padded, lengths = pad(inputs, 0)
    tensor = torch.from_numpy(padded)
    return tensor if tensor.is_floating_point() else tensor.long(), torch.from_numpy(lengths)


def _never_empty(tokens: Array) -> Array:
    """A text without a single unit (white space alone) reads as one unknown unit."""
    return tokens if len(tokens) else np.zeros(1, np.int32)


def _validation(network: Trainable, examples: Examples) -> Scores:
    chances = probabilities(network, examples.inputs)
    nll = functional.nll_loss(torch.from_numpy(chances).clamp(min=1e-300).log(), torch.from_numpy(examples.labels))
    return {"valid_nll": float(nll), "valid_accuracy": float(np.mean(chances.argmax(1) == examples.labels))}
