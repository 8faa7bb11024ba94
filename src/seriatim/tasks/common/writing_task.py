"""The shared part of ``translate`` and ``caption``: tasks that write a text for each input."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

from seriatim.data.collection import Collection
from seriatim.data.files import content_hash
from seriatim.errors import UsageError
from seriatim.learning.plan import TrainingPlan
from seriatim.models.seq2seq import EncoderDecoder
from seriatim.tasks.common.epochs import epochs, scheduled_updates
from seriatim.tasks.common.parts import read_parts
from seriatim.tasks.common.text_scores import signatures, text_scores
from seriatim.tasks.common.writing import Writer, WritingCodec, WritingPart
from seriatim.tasks.options import DECODING_OPTIONS, WritingOptions
from seriatim.tasks.task import ClosedForm, Codec, NewData, PreparedData, Row, Scores, Task


class Part(WritingPart, Protocol):
    """One part of the data of a task that writes."""

    @property
    def texts_each(self) -> float:
        """The mean number of reference texts of an input."""

    @property
    def raw_inputs(self) -> Sequence[Any]:
        """The inputs before encoding, as ``encode_inputs`` takes them."""


class PartCodec(WritingCodec, Codec, Protocol):
    """A codec that encodes a whole collection."""

    def encode(self, collection: Any) -> Any:
        """Encode inputs and texts."""

    def encode_inputs(self, inputs: Any) -> list[Any]:
        """Encode inputs without texts."""


OptionsT = TypeVar("OptionsT", bound=WritingOptions)
PartT = TypeVar("PartT", bound=Part)
CodecT = TypeVar("CodecT", bound=PartCodec)


class WritingTask(Task[OptionsT, PartT, CodecT]):
    """A task that writes a text for each input, with an encoder and a decoder or with a naive model."""

    main_score = "chrf"  # BLEU is 0 for texts of under four words, exact match 0 for most texts
    higher_is_better = True
    neural_baselines = ()
    codec_files = ("vocabulary.json",)
    decoding_options = DECODING_OPTIONS
    exported_options = ("beam_size", "n_best", "length_penalty", "max_length")
    schedule_epochs: int | None = None
    """Epochs after which a schedule that falls to zero ends; None: with the time limit."""
    least_updates = 0
    """The schedule does not end before so many updates."""

    @abstractmethod
    def read_collection(self, options: OptionsT, source: object) -> Collection:
        """Read inputs and texts."""

    @abstractmethod
    def fit_codec(self, options: OptionsT, train: Any) -> CodecT:
        """Fit the codec on the training part."""

    @abstractmethod
    def text_notes(self, options: OptionsT, codec: CodecT, train: Any, valid: PartT) -> Iterator[str]:
        """Yield notes about the unit of the texts, and about unknown words in the validation part."""

    @abstractmethod
    def fit_naive(self, model: Any, data: PreparedData[PartT, CodecT]) -> None:
        """Fit a naive model."""

    @abstractmethod
    def write_naive(self, model: Any, codec: CodecT, inputs: Sequence[Any]) -> Iterator[Row]:
        """Yield ``{"prediction": text}`` for each input, written by a naive model."""

    def prepare(self, options: OptionsT, source: object, codec: CodecT | None = None) -> PreparedData[PartT, CodecT]:
        raw = read_parts(options, source, lambda path: self.read_collection(options, path))
        codec = codec or self.fit_codec(options, raw.train)
        train, valid, test = (codec.encode(part) for part in (raw.train, raw.valid, raw.test))
        notes = (*raw.notes, *self.text_notes(options, codec, raw.train, valid), *signatures(test.references))
        return PreparedData(train, valid, test, codec, raw.sizes, raw.hash, notes)

    def read(self, options: OptionsT, codec: CodecT, source: object) -> NewData[PartT]:
        collection = self.read_collection(options, source)
        return NewData(codec.encode(collection), len(collection), content_hash(collection.content))

    def baseline_options(self, options: OptionsT, baseline: str) -> OptionsT:
        return dataclasses.replace(options, model=baseline, vectors=None, freeze_vectors=False)

    def plan(self, model: Any, options: OptionsT, data: PreparedData[PartT, CodecT]) -> TrainingPlan[Any] | ClosedForm:
        if not isinstance(model, EncoderDecoder):
            return ClosedForm(lambda: self.fit_naive(model, data))
        batch_size = max(1, round(options.batch_size / data.train.texts_each))
        epoch = epochs(data.train, options, batch_size=batch_size, batch_tokens=options.batch_tokens)
        updates = None
        if self.schedule_epochs is not None:
            updates = scheduled_updates(len(epoch(0)), epochs=self.schedule_epochs, least=self.least_updates)
        return TrainingPlan(
            epoch=epoch,
            validate=lambda _: Writer(model, data.codec, options).validate(data.valid),
            monitor="valid_nll",
            rate="tokens_per_second",
            updates=updates,
        )

    def score(self, model: Any, options: OptionsT, codec: CodecT, part: PartT) -> Scores:
        if isinstance(model, EncoderDecoder):
            return Writer(model, codec, options).score(part)
        texts = [row["prediction"] for row in self.write_naive(model, codec, part.raw_inputs)]
        return text_scores(texts, part.references)

    def write(self, model: Any, options: OptionsT, codec: CodecT, inputs: Sequence[Any]) -> Iterator[Row]:
        """Yield a row with the text for each input, on request with other texts and the alignment."""
        if isinstance(model, EncoderDecoder):
            return Writer(model, codec, options).rows(codec.encode_inputs(inputs))
        if options.alignment:
            raise UsageError(f"alignment: {options.model} has none")
        return self.write_naive(model, codec, inputs)
