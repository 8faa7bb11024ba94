"""What a task is: data, models, scores and baselines under one name.

A task holds no state. Its verbs are given the options, the codec (what turns raw values into arrays and back, fitted on
the training part) and a model, and `run.py` walks through them:

    prepare → make → fit → score → predict
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Generic, Protocol, TypeVar, final

import numpy as np

from seriatim.data.files import InputStream
from seriatim.errors import UsageError
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.loop import Outcome
from seriatim.learning.observer import Observer
from seriatim.tasks.options import TrainOptions

Array = np.ndarray[Any, Any]
Scores = dict[str, float]
Row = dict[str, Any]


class Model(Protocol):
    """Anything that was fitted and is kept as named arrays."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return the fitted arrays by name."""

    def load_state_dict(self, state: Any) -> Any:
        """Take fitted arrays back."""


class Codec(Protocol):
    """What turns raw values into arrays and back."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""


OptionsT = TypeVar("OptionsT", bound=TrainOptions)
SplitT = TypeVar("SplitT")
CodecT = TypeVar("CodecT", bound=Codec)


@dataclass(frozen=True)
class Prepared(Generic[SplitT, CodecT]):
    """Data, read and split and encoded."""

    train: SplitT
    valid: SplitT
    test: SplitT
    codec: CodecT
    sizes: dict[str, int]
    """Units, sequences or rows in ``train``, ``valid`` and ``test``."""
    hash: str
    notes: tuple[str, ...] = ()
    """What the reader should know about the data, a line each."""


@dataclass(frozen=True)
class Words:
    """The words that a model reads, for ``--vectors``."""

    tokens: Sequence[str]
    """The index of a word is its id, the row of ``model.embeddings``."""
    sentences: Sequence[Array]
    """The training part: ids ``[T]`` of each sequence."""


@dataclass(frozen=True)
class Fresh(Generic[SplitT]):
    """New data, to be scored as a whole."""

    split: SplitT
    size: int
    """Units, sequences or rows."""
    hash: str
    notes: tuple[str, ...] = ()
    """What the reader should know about them, a line each."""


class Task(ABC, Generic[OptionsT, SplitT, CodecT]):
    """One kind of work, from a user's file to scores and predictions."""

    name: str
    options: type[OptionsT]
    main_score: str
    higher_is_better: bool
    baselines: tuple[str, ...]
    neural_baselines: tuple[str, ...]
    """Those that ``--baselines fast`` leaves out."""
    piped_format: str
    """What standard input holds when nobody says."""
    codec_files: tuple[str, ...]
    """Names that the codec's file can have in a run folder."""
    writing: str | None = None
    """What ``generate`` does with its prompt: ``continues`` or ``answers`` it; None where the task does not write."""
    anew: tuple[str, ...] = ()
    """Options that ``evaluate`` and ``predict`` may be given anew: they do not change what was learned."""

    def codec_file(self, codec: CodecT) -> str:
        """Name the file that ``codec`` is kept in."""
        return self.codec_files[0]

    def variant(self, options: OptionsT) -> Task[Any, Any, Any]:
        """Return the task that ``options`` ask for: itself, save where one name stands for data of several kinds."""
        return self

    @abstractmethod
    def check(self, options: OptionsT) -> None:
        """Refuse options that contradict each other. Raises ``UsageError``."""

    def source(self, options: OptionsT, given: object | None) -> object:
        """Return the data: ``given``, or what ``options`` name. Raises ``UsageError`` for neither and for both."""
        if given is None:
            raise UsageError("data: nothing given to train on")
        return given

    @abstractmethod
    def prepare(self, options: OptionsT, source: object, codec: CodecT | None = None) -> Prepared[SplitT, CodecT]:
        """Read ``source`` (and the files of --valid and --test), split it, and fit the codec on the training part.

        With a ``codec``, that of a trained model, nothing is fitted.
        """

    @abstractmethod
    def read(self, options: OptionsT, codec: CodecT, source: object) -> Fresh[SplitT]:
        """Read new data to be scored as a whole."""

    @final
    def piped(self, file: BinaryIO, format: str | None) -> object:
        """Turn a binary file that is open already into a source to predict for; ``format`` says what it holds."""
        stream = InputStream(file, format or self.piped_format)
        return self.from_lines(stream.text()) if stream.format == "txt" else stream

    def from_lines(self, text: str) -> object:
        """Turn plain text into a source. Raises ``UsageError`` where the task reads tables only."""
        raise UsageError(f"format: {self.name} reads tables, not txt")

    @abstractmethod
    def codec(self, content: dict[str, Any]) -> CodecT:
        """Make a codec out of its JSON. Raises ``ValueError``, ``KeyError`` or ``TypeError`` when it is damaged."""

    @abstractmethod
    def make(self, options: OptionsT, codec: CodecT) -> Model:
        """Make the model that ``options.model`` names, not fitted yet."""

    def words(self, data: Prepared[SplitT, CodecT]) -> Words | None:
        """Return the words that the model's ``embeddings`` stand for; None where it reads no words."""
        return None

    @abstractmethod
    def fit(
        self,
        model: Model,
        options: OptionsT,
        data: Prepared[SplitT, CodecT],
        keeper: CheckpointStore,
        observer: Observer,
    ) -> Outcome:
        """Fit ``model`` on the training part, choosing by the validation part."""

    def replayed(self, new: SplitT, old: SplitT, share: float, seed: int) -> SplitT:
        """Return ``new`` with a part of ``old`` beside it, ``share`` times as large. Raises ``UsageError``."""
        raise UsageError(f"replay: not for {self.name} runs")

    @abstractmethod
    def beside(self, options: OptionsT, baseline: str) -> OptionsT:
        """Return the options with which ``baseline`` is trained beside another model."""

    @abstractmethod
    def score(self, model: Model, options: OptionsT, codec: CodecT, split: SplitT) -> Scores:
        """Score ``model`` on ``split``."""

    @abstractmethod
    def predict(self, model: Model, options: OptionsT, codec: CodecT, source: object) -> Iterator[Row]:
        """Give one JSON-able row per input row or sequence of ``source``."""

    def flat(self, row: Row) -> Iterator[Row]:
        """Give ``row`` as the flat rows of a CSV file."""
        yield {
            name if key is None else f"{name}_{key}": value
            for name, entry in row.items()
            for key, value in (entry.items() if isinstance(entry, dict) else ((None, entry),))
        }

    def generate(self, model: Model, options: OptionsT, codec: CodecT, request: GenerateRequest) -> Iterator[str]:
        """Give new text, piece by piece. Raises ``UsageError`` where the task does not write."""
        raise UsageError(f"generate: for language and translate runs; this is a {self.name} run")


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """What ``generate`` is asked for."""

    prompt: str = ""
    length: int = 500
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


def parameter_count(model: Model) -> int:
    """Count the numbers that ``model`` is made of."""
    count = getattr(model, "parameters_count", None)
    if count is not None:
        return int(count)
    return sum(int(array.numel()) for array in model.state_dict().values())
