"""The interface of a task: it joins data, models, scores and baselines under one name.

A task holds no state. Each method receives the options, the codec (fitted on the training part) and the model.
``seriatim.run`` calls the methods in this order:

    prepare → make → plan → score → predict
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, BinaryIO, Generic, Protocol, TypeVar, final

import numpy as np

from seriatim.data.files import InputStream
from seriatim.errors import UsageError
from seriatim.learning.plan import TrainingPlan
from seriatim.models.options import defaults_of
from seriatim.tasks.common.blend import Choice, Member
from seriatim.tasks.options import TrainOptions

Array = np.ndarray[Any, Any]
Scores = dict[str, float]
Row = dict[str, Any]


class Model(Protocol):
    """A model that is saved and loaded as named arrays: a network, or a naive model."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return the fitted arrays by name."""

    def load_state_dict(self, state: Any) -> Any:
        """Load fitted arrays."""


class Codec(Protocol):
    """The two-way translation of raw values and arrays."""

    def to_json(self) -> dict[str, Any]:
        """Return the codec as JSON values."""


OptionsT = TypeVar("OptionsT", bound=TrainOptions)
PartT = TypeVar("PartT")
CodecT = TypeVar("CodecT", bound=Codec)


@dataclass(frozen=True)
class PreparedData(Generic[PartT, CodecT]):
    """Data that were read, split and encoded."""

    train: PartT
    valid: PartT
    test: PartT
    codec: CodecT
    sizes: dict[str, int]
    """Number of units, sequences or rows in ``train``, ``valid`` and ``test``."""
    hash: str
    notes: tuple[str, ...] = ()
    """Remarks about the data for the user, one line each."""


@dataclass(frozen=True)
class NewData(Generic[PartT]):
    """New data that are scored as a whole."""

    part: PartT
    size: int
    """Number of units, sequences or rows."""
    hash: str
    notes: tuple[str, ...] = ()
    """Remarks about the data for the user, one line each."""


@dataclass(frozen=True)
class DataOptions:
    """Options that follow from the form of the data."""

    options: Mapping[str, object]
    note: str = ""
    """A remark about them for the user, one line; empty if there is nothing to say."""


@dataclass(frozen=True)
class WordCorpus:
    """The words that a model reads, as ``--vectors`` needs them."""

    tokens: Sequence[str]
    """The index of a word is its id, and its row in ``model.embeddings``."""
    sentences: Sequence[Array]
    """The training part: ids ``[T]`` of each sequence."""


@dataclass(frozen=True)
class ClosedForm:
    """A plan for a model that is fitted by counting or by solving equations, without epochs."""

    solve: Callable[[], str | None]
    """Fit the model. Returns what the time limit allowed, as ``1,200 of 6,000 texts``; None or "" if nothing was left
    out."""


class Task(ABC, Generic[OptionsT, PartT, CodecT]):
    """One kind of work, from the user's file to scores and predictions."""

    name: str
    options: type[OptionsT]
    main_score: str
    higher_is_better: bool
    baselines: tuple[str, ...]
    neural_baselines: tuple[str, ...]
    """Baselines that are networks. ``--baselines fast`` leaves them out."""
    slow_baselines: tuple[str, ...] = ()
    """Other baselines that ``--baselines fast`` leaves out, because they take more than a moment."""
    stdin_format: str
    """The default format of standard input."""
    codec_files: tuple[str, ...]
    """Possible names of the codec's file in a run folder."""
    writing: str | None = None
    """How ``generate`` uses its prompt: it ``continues`` or ``answers`` it. None for tasks that write no text."""
    decoding_options: tuple[str, ...] = ()
    """Options that ``evaluate`` and ``predict`` may override, because they do not change the trained model."""
    exported_options: tuple[str, ...] = ()
    """Options that an exported model needs besides its network and its codec."""
    exported_columns: tuple[str, ...] = ()
    """Options that name the columns which an exported model reads from a table."""

    def codec_file(self, codec: CodecT) -> str:
        """Return the name of the file for ``codec``."""
        return self.codec_files[0]

    def model_defaults(self, explicit: Mapping[str, object]) -> Mapping[str, object]:
        """Return the defaults that depend on the model; they replace the defaults of ``options``.

        ``explicit`` has the options that the user gave. The result may have values for them too, which do not count.
        """
        return defaults_of(model_of(self.options, explicit), explicit.get("learner"))

    def data_options(self, explicit: Mapping[str, object], data: object | None) -> DataOptions:
        """Return options that follow from the form of ``data``. The user's options, ``explicit``, replace them."""
        return DataOptions({})

    def variant(self, options: OptionsT) -> Task[Any, Any, Any]:
        """Return the task for ``options``: this one, unless one name covers several forms of data."""
        return self

    @abstractmethod
    def check(self, options: OptionsT) -> None:
        """Refuse options that contradict each other. Raises ``UsageError``."""

    def source(self, options: OptionsT, data: object | None) -> object:
        """Return ``data``, or the data that ``options`` name. Raises ``UsageError`` for neither and for both."""
        if data is None:
            raise UsageError("data: nothing given to train on")
        return data

    @abstractmethod
    def prepare(self, options: OptionsT, source: object, codec: CodecT | None = None) -> PreparedData[PartT, CodecT]:
        """Read ``source`` and the files of --valid and --test, split them, and fit the codec on the training part.

        If the ``codec`` of a trained model is passed, it is used as it is.
        """

    @abstractmethod
    def read(self, options: OptionsT, codec: CodecT, source: object) -> NewData[PartT]:
        """Read new data that are scored as a whole."""

    @final
    def from_stream(self, file: BinaryIO, format: str | None) -> object:
        """Turn an open binary file into a source for ``predict``. ``format`` names its format."""
        stream = InputStream(file, format or self.stdin_format)
        return self.from_lines(stream.text()) if stream.format == "txt" else stream

    def from_lines(self, text: str) -> object:
        """Turn plain text into a source. Raises ``UsageError`` if the task reads only tables."""
        raise UsageError(f"format: {self.name} reads tables, not txt")

    @abstractmethod
    def codec_from_json(self, content: dict[str, Any]) -> CodecT:
        """Rebuild a codec. Raises ``ValueError``, ``KeyError`` or ``TypeError`` if ``content`` is damaged."""

    @abstractmethod
    def make(self, options: OptionsT, codec: CodecT) -> Model:
        """Make the model that ``options.model`` names, before fitting."""

    def word_corpus(self, data: PreparedData[PartT, CodecT]) -> WordCorpus | None:
        """Return the words that the model's ``embeddings`` represent, or None if it reads no words."""
        return None

    @abstractmethod
    def plan(self, model: Any, options: OptionsT, data: PreparedData[PartT, CodecT]) -> TrainingPlan[Any] | ClosedForm:
        """Say how ``model``, made by ``make``, is fitted to ``data``."""

    def with_replay(self, new: PartT, old: PartT, share: float, seed: int) -> PartT:
        """Return ``new`` with some of ``old`` mixed in, ``share`` times as large as ``new``. Raises ``UsageError``."""
        raise UsageError(f"replay: not for {self.name} runs")

    def baselines_for(self, options: OptionsT) -> tuple[str, ...]:
        """Return the names of the baselines of a run with ``options``."""
        names = {
            "all": self.baselines,
            "fast": tuple(
                name for name in self.baselines if name not in (*self.neural_baselines, *self.slow_baselines)
            ),
            "none": (),
        }[options.baselines]
        return tuple(name for name in names if name != options.model)

    @abstractmethod
    def baseline_options(self, options: OptionsT, baseline: str) -> OptionsT:
        """Return the options for training ``baseline`` in a run with ``options``."""

    def suits(self, baseline: str, data: PreparedData[PartT, CodecT]) -> bool:
        """Return whether ``baseline`` can be fitted to ``data``."""
        return True

    def choose(self, members: Mapping[str, Member], codec: CodecT, valid: PartT) -> Choice | None:
        """Fit the weights of a blend of ``members`` on the validation part. The first member is the network.

        Returns None for a task whose predictions cannot be mixed.
        """
        return None

    @abstractmethod
    def score(self, model: Any, options: OptionsT, codec: CodecT, part: PartT) -> Scores:
        """Score ``model`` on ``part``."""

    @abstractmethod
    def predict(self, model: Any, options: OptionsT, codec: CodecT, source: object) -> Iterator[Row]:
        """Yield one row of JSON values for each row or sequence of ``source``."""

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield the rows of a CSV file that represent ``row`` of ``predict``."""
        yield {
            name if key is None else f"{name}_{key}": value
            for name, entry in row.items()
            for key, value in (entry.items() if isinstance(entry, dict) else ((None, entry),))
        }

    def generate(self, model: Any, options: OptionsT, codec: CodecT, request: GenerateRequest) -> Iterator[str]:
        """Yield new text in pieces. Raises ``UsageError`` if the task writes no text."""
        raise UsageError(f"generate: for language and translate runs; this is a {self.name} run")


def model_of(options: type[TrainOptions], explicit: Mapping[str, object]) -> object:
    """Return the model that the user named, or the default of ``options``."""
    return explicit.get("model") or next(field.default for field in fields(options) if field.name == "model")


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """The arguments of ``generate``."""

    prompt: str = ""
    length: int = 500
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


def parameter_count(model: Model) -> int:
    """Return the number of fitted numbers in ``model``."""
    count = getattr(model, "parameters_count", None)
    if count is not None:
        return int(count)
    return sum(int(array.numel()) for array in model.state_dict().values())
