"""The inputs of ``classify`` and ``regress``: sequences are read, encoded, padded, and run through a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from seriatim.data.sequence_collection import Sequences
from seriatim.data.sequences import are_numbers, are_texts, read_sequences
from seriatim.data.sound import SoundReader
from seriatim.encoding.buckets import pad, token_buckets
from seriatim.encoding.scaler import Standardizer
from seriatim.encoding.sound import LogMel
from seriatim.encoding.speech import Speech
from seriatim.encoding.unit_choice import AUTO
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.models.classifier import InputSize
from seriatim.tasks.common.baseline_time import baseline_seconds
from seriatim.tasks.common.parts import unknown_notes
from seriatim.tasks.common.subwords import WordForms
from seriatim.tasks.common.text_unit import unit_notes, unit_of
from seriatim.tasks.options import SequenceOptions
from seriatim.tasks.task import DataOptions, WordCorpus

Array = np.ndarray[Any, Any]
OptionsT = TypeVar("OptionsT", bound=SequenceOptions)

EVALUATION_BATCH = 256
EVALUATION_TOKENS = 65_536
STATELESS = ("mlp", "bag", "majority", "mean", "stats")
"""Models that do not need the steps in order."""
OF_TEXTS = ("tfidf",)
OF_NUMBERS = ("nearest", "rocket", "stats", "lstm_fcn")
"""Models that need one form of input."""


@dataclass(frozen=True)
class InputCodec:
    """Turns raw sequences into arrays, with a vocabulary for texts, or a scaler for numbers and frames of sound.

    ``subwords`` is the number of buckets of the words' n-grams, or 0 if words are read without them.
    """

    vocabulary: Vocabulary | None = None
    scaler: Standardizer | None = None
    sound: LogMel | None = None
    subwords: int = 0

    @classmethod
    def fit(cls, options: SequenceOptions, train: Sequences, sound: LogMel | None) -> InputCodec:
        """Fit the codec on the training part. ``sound`` computed its frames, if it holds recordings."""
        if train.channels is None:
            unit = unit_of(options, train.texts)
            vocabulary = Vocabulary.fit(train.texts, unit, options.most_units(unit), lines=False)
            has_grams = options.subwords and unit == "word"
            return cls(vocabulary=vocabulary, subwords=options.subword_buckets if has_grams else 0)
        arrays: Sequence[Array] = train.arrays
        if sound is not None:
            arrays = [sound.scaled(frames) for frames in arrays]
        return cls(scaler=Standardizer.fit(np.concatenate(arrays)), sound=sound)

    def encode(self, sequences: Sequences) -> list[Array]:
        """Encode each sequence: ``[T]`` int32 units, or ``[T, C]`` float32 channels."""
        if self.vocabulary is not None:
            if sequences.channels is not None:
                raise DataError(f"got numeric sequences ({sequences.channels} channels), but the model reads texts")
            return [_never_empty(self.vocabulary.encode(text)) for text in sequences.texts]
        assert self.scaler is not None
        width = len(self.scaler.mean)
        if sequences.channels != width:
            actual = f"{sequences.channels} channels" if sequences.channels else "texts"
            raise DataError(f"got {actual}, but the model reads sequences of {width} channels")
        return [self.encode_steps(values) for values in sequences.arrays]

    def encode_steps(self, values: Array) -> Array:
        """Encode one numeric sequence, or the frames in nats of one recording: float32 ``[T, C]``."""
        assert self.scaler is not None
        values = values if self.sound is None else self.sound.scaled(values)
        return self.scaler.transform(values).astype(np.float32, copy=False)

    def size(self) -> InputSize:
        """Return the size of the vocabulary, or the number of channels."""
        if self.vocabulary is not None:
            return InputSize(vocabulary=len(self.vocabulary), subwords=self.subwords)
        assert self.scaler is not None
        return InputSize(channels=len(self.scaler.mean))

    @property
    def file(self) -> str:
        """The name of the codec's file in a run folder."""
        return "vocabulary.json" if self.vocabulary is not None else "scaler.json"

    def to_json(self) -> dict[str, Any]:
        """Return the codec as JSON values."""
        codec = self.vocabulary or self.scaler
        assert codec is not None
        sound = {"sound": self.sound.to_json()} if self.sound is not None else {}
        return codec.to_json() | sound | ({"subwords": self.subwords} if self.subwords else {})

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> InputCodec:
        """Rebuild a codec. Raises ``ValueError`` if ``stored`` is damaged."""
        if "mean" not in stored:
            subwords = stored.get("subwords", 0)
            if type(subwords) is not int or subwords < 0:
                raise ValueError(f"'subwords' is {subwords!r:.20}, wanted a whole number from 0")
            return cls(vocabulary=Vocabulary.from_json(stored), subwords=subwords)
        sound = LogMel.from_json(stored["sound"]) if "sound" in stored else None
        return cls(scaler=Standardizer.from_json(stored), sound=sound)


def network_of_numbers(explicit: Mapping[str, Any], data: object) -> DataOptions:
    """Choose LSTM-FCN for numeric sequences, if the user's options, ``explicit``, name no model."""
    columns = {name: explicit.get(name) for name in ("text", "sound", "channels")}
    if explicit.get("model") or not are_numbers(data, **columns):
        return DataOptions({})
    return DataOptions(
        {"model": "lstm_fcn"},
        "model: lstm_fcn, because the data are sequences of numbers, on which it validates better than lstm; "
        "--model lstm gives a network that reads streams",
    )


def grams_of_texts(explicit: Mapping[str, Any], data: object, baselines: Collection[str]) -> dict[str, Any]:
    """Return the option by which networks read the words of texts with n-grams, or nothing.

    Not if the user's options, ``explicit``, name one of the ``baselines``, another unit than words, or word vectors.
    """
    reads_words = explicit.get("unit") in (None, AUTO, "word") and not explicit.get("vectors")
    is_network = explicit.get("model") not in baselines
    return {"subwords": True} if reads_words and is_network and are_texts(data, text=explicit.get("text")) else {}


def check_sequence_options(options: SequenceOptions) -> None:
    """Refuse options about sequences that contradict each other. Raises ``UsageError``."""
    inputs = [name for name in ("text", "sound", "channels") if getattr(options, name)]
    if len(inputs) > 1:
        raise UsageError(f"{inputs[0]}: give either --{inputs[0]} or --{inputs[1]}, not both")
    if options.channels and not options.id and options.model not in STATELESS:
        raise UsageError("id: --channels needs --id, the column that identifies sequences (without it: --model mlp)")
    if options.sample_rate and not options.sound:
        raise UsageError("sample_rate: for --sound, the column of paths of recordings")
    if options.augment and not options.sound:
        raise UsageError("augment: for --sound, the column of paths of recordings")


def sound_reader(options: SequenceOptions, features: LogMel | None = None) -> SoundReader:
    """Make the reader of recordings, with the settings of ``features`` if it is passed, else of ``options``."""
    return SoundReader(
        options.frame,
        options.hop,
        options.mels,
        rate=options.sample_rate,
        features=features,
        is_normalised=options.normalize == "recording",
        speech=Speech() if options.normalize == "speech" else None,
    )


def read(
    options: SequenceOptions,
    source: object,
    reader: SoundReader,
    *,
    need_label: bool,
    label: str | None = None,
    target: str | None = None,
    every_step: bool = False,
) -> Sequences:
    """Read sequences as the options say, each with a ``label`` or a ``target``."""
    return read_sequences(
        source,
        text=options.text,
        sound=options.sound,
        reader=reader,
        label=label,
        target=target,
        every_step=every_step,
        channels=options.channels,
        id=options.id,
        time=options.time,
        date_format=options.date_format,
        group=options.group if need_label else None,
        header=options.header,
        need_label=need_label,
    )


def texts_of(sequences: Sequences) -> list[str] | None:
    """Return the raw texts, or None for numbers and sound."""
    return list(sequences.texts) if sequences.channels is None else None


def frames_of(codec: InputCodec, sequences: Sequences) -> Sequence[Array]:
    """Return the frames of recordings in nats, before they are scaled; nothing for texts and numbers."""
    return () if codec.sound is None else sequences.arrays


def can_read(model: str, are_texts: bool) -> bool:
    """Return whether ``model`` can read the data: texts, or numbers and sound."""
    return model not in (OF_NUMBERS if are_texts else OF_TEXTS)


def check_form(options: SequenceOptions, train: Sequences) -> None:
    """Refuse a model or an option that is not for the form of the data. Raises ``UsageError``."""
    are_texts = train.channels is None
    if not can_read(options.model, are_texts):
        raise UsageError(
            f"model: {options.model} reads {'numbers or sound' if are_texts else 'texts'}, and the data are "
            f"{'texts' if are_texts else 'numbers or sound'}"
        )
    for name in ("word_dropout", "subwords"):
        if getattr(options, name) and not are_texts:
            raise UsageError(f"{name}: for texts, not numbers or sound")


def text_notes(options: SequenceOptions, codec: InputCodec, train: Sequences, valid: Sequence[Array]) -> Iterator[str]:
    """Yield a note about the unit that was chosen, and one if many words of the validation part are unknown."""
    if codec.vocabulary is not None:
        yield from unit_notes(options, codec.vocabulary.unit, train.texts)
        yield from unknown_notes("the words", codec.vocabulary.unit, valid)


def word_corpus(codec: InputCodec, train: Sequence[Array]) -> WordCorpus | None:
    """Return the words that a model of texts reads, or None for other units, numbers and sound."""
    if codec.vocabulary is None or codec.vocabulary.unit != "word":
        return None
    return WordCorpus(codec.vocabulary.tokens, train)


def bag_options(options: OptionsT, baseline: str) -> OptionsT:
    """Return the options for training a baseline in a run with ``options``. Most of them are for ``bag``."""
    return dataclasses.replace(
        options,
        model=baseline,
        embedding=64,
        vectors=None,
        freeze_vectors=False,
        subwords=False,
        epochs=None,
        time_limit=baseline_seconds(options),
        optimizer="adam",
        lr=5e-3,
        schedule="plateau",
        warmup=0,
        patience=3,
        batch_size=32,
        augment=False,
        precision="fp32",
    )


def sequence_lengths(inputs: Sequence[Array]) -> Array:
    """Return the number of steps of each sequence, [N]."""
    return np.array([len(sequence) for sequence in inputs])


def run_network(network: torch.nn.Module, inputs: Sequence[Array], forms: WordForms | None = None) -> Array:
    """Run ``network`` on all sequences, in batches of similar length. Returns float64 ``[N, K]``.

    ``forms`` has the n-grams of the words, if the network reads them.
    """
    network.eval()
    result: Array | None = None
    with torch.no_grad():
        for indices in token_buckets(sequence_lengths(inputs), EVALUATION_BATCH, EVALUATION_TOKENS, seed=None):
            subwords = None if forms is None else forms.batch(indices)
            outputs = network(*pad_inputs([inputs[index] for index in indices]), subwords).double().numpy()
            result = np.zeros((len(inputs), outputs.shape[1])) if result is None else result
            result[indices] = outputs
    assert result is not None
    return result


def pad_inputs(inputs: list[Array]) -> tuple[Tensor, Tensor]:
    """Pad sequences to a tensor ``[T, B]`` int64 or ``[T, B, C]`` float32, and return it with lengths ``[B]``."""
    array, lengths = pad(inputs, 0)
    tensor = torch.from_numpy(array)
    return tensor if tensor.is_floating_point() else tensor.long(), torch.from_numpy(lengths)


def _never_empty(tokens: Array) -> Array:
    """Return ``tokens``, or one unknown unit for a text without units (only white space)."""
    return tokens if len(tokens) else np.zeros(1, np.int32)
