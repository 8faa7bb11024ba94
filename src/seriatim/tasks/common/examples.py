"""What ``classify`` and ``regress`` share: sequences read and encoded, and networks run over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from seriatim.data.buckets import pad, token_buckets
from seriatim.data.sequences import Sequences, read_sequences
from seriatim.data.sound import SoundReader
from seriatim.encoding.scaler import Standardizer
from seriatim.encoding.sound import LogMel
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.models.classifier import InputSize
from seriatim.tasks.common.parts import unknown_notes
from seriatim.tasks.options import SequenceOptions
from seriatim.tasks.task import Words

Array = np.ndarray[Any, Any]
OptionsT = TypeVar("OptionsT", bound=SequenceOptions)

EVALUATION_BATCH = 256
EVALUATION_TOKENS = 65_536
STATELESS = ("mlp", "bag", "majority", "mean")
"""Models that do not need steps in order."""


@dataclass(frozen=True)
class InputReader:
    """Turns raw sequences into arrays: a vocabulary for texts, a scaler for numbers and for the frames of sound."""

    vocabulary: Vocabulary | None = None
    scaler: Standardizer | None = None
    sound: LogMel | None = None

    @classmethod
    def fit(cls, options: SequenceOptions, train: Sequences, sound: LogMel | None) -> InputReader:
        """Fit on the training part; ``sound`` is what its frames were made by."""
        if train.channels is None:
            return cls(vocabulary=Vocabulary.fit(train.texts, options.unit, options.most_units, lines=False))
        return cls(scaler=Standardizer.fit(np.concatenate(train.arrays)), sound=sound)

    def encode(self, sequences: Sequences) -> list[Array]:
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
        return [self.scaler.transform(values).astype(np.float32, copy=False) for values in sequences.arrays]

    def size(self) -> InputSize:
        """Tell what one step of a sequence is."""
        if self.vocabulary is not None:
            return InputSize(vocabulary=len(self.vocabulary))
        assert self.scaler is not None
        return InputSize(channels=len(self.scaler.mean))

    @property
    def file(self) -> str:
        """The name of the file that it is kept in."""
        return "vocabulary.json" if self.vocabulary is not None else "scaler.json"

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        reader = self.vocabulary or self.scaler
        assert reader is not None
        return reader.to_json() | ({"sound": self.sound.to_json()} if self.sound is not None else {})

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> InputReader:
        """Rebuild a reader. Raises ``ValueError`` when ``stored`` is damaged."""
        if "mean" not in stored:
            return cls(vocabulary=Vocabulary.from_json(stored))
        sound = LogMel.from_json(stored["sound"]) if "sound" in stored else None
        return cls(scaler=Standardizer.from_json(stored), sound=sound)


def check_sequences(options: SequenceOptions) -> None:
    """Refuse options about sequences that contradict each other. Raises ``UsageError``."""
    given = [f"--{name}" for name in ("text", "sound", "channels") if getattr(options, name)]
    if len(given) > 1:
        raise UsageError(f"{given[0][2:]}: give either {given[0]} or {given[1]}, not both")
    if options.channels and not options.id and options.model not in STATELESS:
        raise UsageError("id: --channels needs --id, the column that tells sequences apart (without it: --model mlp)")
    if options.sample_rate and not options.sound:
        raise UsageError("sample_rate: for --sound, the column of paths of recordings")


def listener(options: SequenceOptions, features: LogMel | None = None) -> SoundReader:
    """Make what reads recordings, by the options or as ``features`` were made."""
    return SoundReader(options.frame, options.hop, options.mels, rate=options.sample_rate, features=features)


def read(
    options: SequenceOptions,
    source: object,
    listening: SoundReader,
    *,
    need_label: bool,
    label: str | None = None,
    target: str | None = None,
    every_step: bool = False,
) -> Sequences:
    """Read sequences as the options say, with a ``label`` or a ``target`` each."""
    return read_sequences(
        source,
        text=options.text,
        sound=options.sound,
        reader=listening,
        label=label,
        target=target,
        every_step=every_step,
        channels=options.channels,
        id=options.id,
        time=options.time,
        group=options.group if need_label else None,
        header=options.header,
        need_label=need_label,
    )


def unknown(options: SequenceOptions, valid: list[Array]) -> Iterator[str]:
    """Tell when a vocabulary of words knows too little of new texts."""
    return unknown_notes("the words", options.unit, valid) if valid[0].ndim == 1 else iter(())


def words(reader: InputReader, train: list[Array]) -> Words | None:
    """The words that a model of texts reads; ``None`` for other units, numbers and sound."""
    if reader.vocabulary is None or reader.vocabulary.unit != "word":
        return None
    return Words(reader.vocabulary.tokens, train)


def beside_bag(options: OptionsT, baseline: str) -> OptionsT:
    """Return the options with which a bag is trained beside another model."""
    return dataclasses.replace(
        options,
        model=baseline,
        embedding=64,
        vectors=None,
        freeze_vectors=False,
        epochs=None,
        time_limit=60.0,
        optimizer="adam",
        lr=5e-3,
        schedule="plateau",
        warmup=0,
        patience=3,
        batch_size=32,
        precision="fp32",
    )


def lengths(inputs: list[Array]) -> Array:
    """Steps of each sequence, [N]."""
    return np.array([len(one) for one in inputs])


def outputs(network: torch.nn.Module, inputs: list[Array]) -> Array:
    """Run ``network`` over all sequences, those of like length together: float64 ``[N, K]``."""
    network.eval()
    result: Array | None = None
    with torch.no_grad():
        for indices in token_buckets(lengths(inputs), EVALUATION_BATCH, EVALUATION_TOKENS, seed=None):
            part = network(*padded([inputs[index] for index in indices])).double().numpy()
            result = np.zeros((len(inputs), part.shape[1])) if result is None else result
            result[indices] = part
    assert result is not None
    return result


def padded(inputs: list[Array]) -> tuple[Tensor, Tensor]:
    """Sequences → a padded tensor ``[T, B]`` int64 or ``[T, B, C]`` float32, and lengths ``[B]``."""
    array, lengths = pad(inputs, 0)
    tensor = torch.from_numpy(array)
    return tensor if tensor.is_floating_point() else tensor.long(), torch.from_numpy(lengths)


def _never_empty(tokens: Array) -> Array:
    """A text without a single unit (white space alone) reads as one unknown unit."""
    return tokens if len(tokens) else np.zeros(1, np.int32)
