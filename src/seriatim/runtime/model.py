"""An exported model, and a stream of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from seriatim.errors import DataError, UsageError
from seriatim.runtime.state import State, from_bytes, to_bytes

Row = dict[str, Any]


class Model(ABC):
    """A model that ``load`` returns. Its methods give what the methods of the run give.

    A method that the task does not have raises ``UsageError``.
    """

    task: ClassVar[str]
    writing: ClassVar[str | None] = None
    """How the model writes text: ``continues`` or ``answers`` a prompt; None if it does not."""
    path: Path
    name: str
    """The name of the network or naive model, such as ``lstm``."""
    hash: str
    """SHA-256 of the description, which contains the SHA-256 of the weights."""
    columns: Mapping[str, Any]
    """The columns of a table that the model reads, by the names of the options of ``train``."""
    info: Row
    """Remarks of the export: the type of the weights, and the scores before and after rounding."""

    def __repr__(self) -> str:
        return f"Model('{self.path}', task='{self.task}', model='{self.name}')"

    @abstractmethod
    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        """Yield a row of JSON values for each of ``rows``: texts, sequences of numbers, sentences, or series."""

    def csv_rows(self, row: Row) -> Iterator[Row]:
        """Yield the rows of a CSV file that represent ``row`` of ``predict``."""
        yield {
            name if key is None else f"{name}_{key}": value
            for name, entry in row.items()
            for key, value in (entry.items() if isinstance(entry, dict) else ((None, entry),))
        }

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """Yield new text in pieces, as ``Run.generate`` does and with its options."""
        raise UsageError(f"generate: for models that write text; this is a {self.task} model")

    def forecast(self, history: Any) -> Row:
        """Return the quantiles of the steps after ``history`` [T, C]."""
        raise UsageError(f"forecast: for forecast models; this is a {self.task} model")

    def stream(self, *, seed: int | None = None) -> Stream:
        """Begin a stream. ``seed`` is the seed of what it will write."""
        raise UsageError(f"stream: this {self.task} model ({self.name}) cannot read a stream")

    def step_many(self, streams: Sequence[Stream], xs: Sequence[Any]) -> list[Any]:
        """Take one step in each stream; the result of each is the same bits whatever the other streams are.

        All of ``xs`` are checked before any stream changes.
        """
        raise UsageError(f"step_many: this {self.task} model ({self.name}) cannot read a stream")


class StreamModel(Model):
    """A model that can read a stream step by step."""

    @abstractmethod
    def begin(self, seed: int | None) -> State:
        """Return the state before the first step."""

    @abstractmethod
    def read_input(self, x: Any) -> Any:
        """Check the input of one step and encode it. Raises ``DataError`` or ``UsageError``."""

    @abstractmethod
    def advance(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Any]:
        """Change each state by one step with its encoded input, and return the answers."""

    @abstractmethod
    def check_state(self, state: State) -> None:
        """Raise ``DataError`` or ``UsageError`` for a state that this model cannot have."""

    def stream(self, *, seed: int | None = None) -> Stream:
        return Stream(self, seed)

    def step_many(self, streams: Sequence[Stream], xs: Sequence[Any]) -> list[Any]:
        if len(streams) != len(xs):
            raise UsageError(f"xs: got {len(xs)}, wanted one for each of {len(streams)} streams")
        if len({id(stream) for stream in streams}) != len(streams):
            raise UsageError("streams: one occurs twice, wanted different ones")
        for stream in streams:
            if stream.model is not self:
                raise UsageError("streams: one belongs to another model")
        inputs = [self.read_input(x) for x in xs]
        states = [stream.state.copy() for stream in streams]
        answers = self.advance(states, inputs) if states else []
        for stream, state in zip(streams, states, strict=True):
            stream.state = state
        return answers


class PredictingStreamModel(StreamModel):
    """A stream model whose answer to a step is made from a prediction, an array, which a mixture can mix."""

    @abstractmethod
    def step_predictions(self, states: Sequence[State], inputs: Sequence[Any]) -> list[NDArray[Any] | None]:
        """Change each state by one step, and return the predictions; None where there is none yet."""

    @abstractmethod
    def answer(self, state: State, x: Any, prediction: NDArray[Any]) -> Any:
        """Return the answer of a stream for the prediction after its step with the encoded input ``x``."""

    def advance(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Any]:
        predictions = self.step_predictions(states, inputs)
        return [
            None if prediction is None else self.answer(state, x, prediction)
            for state, x, prediction in zip(states, inputs, predictions, strict=True)
        ]


class Stream:
    """A model that reads one sequence step by step. Everything that decides its future is in ``state``.

        stream = model.stream()
        answer = stream.step(x)
        saved = stream.snapshot()       bytes, for this model alone
        stream.restore(saved)           goes back, or goes on in another process

    Not for several threads at once.
    """

    def __init__(self, model: StreamModel, seed: int | None = None) -> None:
        self.model = model
        self.state = model.begin(seed)

    @property
    def position(self) -> int:
        """The number of steps that were read since the beginning."""
        return self.state.position

    def step(self, x: Any) -> Any:
        """Read one step and return the model's answer. After an error the stream is unchanged.

        A language model takes a text (all its units) or the number of a unit, and returns the log-probabilities [V] of
        the next unit. A classifier, regressor and tagger takes a text or a vector, and returns a row of ``predict`` for
        the sequence so far. A forecaster takes the values of a row [C], and returns a row of ``predict``, or None while
        it has read less than its lookback. A translator reads the text to translate in the first step, a captioner the
        picture; then both read what was written, as texts or as numbers of units. They return the log-probabilities
        [V + 1] of the next unit; the last is the end.
        """
        return self.model.step_many([self], [x])[0]

    def reset(self, *, seed: int | None = None) -> None:
        """Begin again."""
        self.state = self.model.begin(seed)

    def fork(self) -> Stream:
        """Return a second stream with the same past."""
        other = object.__new__(type(self))
        other.model, other.state = self.model, self.state.copy()
        return other

    def snapshot(self) -> bytes:
        """Return the state as bytes, which ``restore`` reads."""
        return to_bytes(self.state, self.model.hash)

    def restore(self, snapshot: bytes) -> None:
        """Continue from ``snapshot``.

        Raises ``UsageError`` for a snapshot of another model and ``DataError`` for a damaged one. The stream is then
        unchanged.
        """
        state = from_bytes(snapshot, self.model.hash)
        self.model.check_state(state)
        self.state = state

    def rewind(self, steps: int) -> None:
        """Refuse to go back: a state does not contain the states before it. Restore a snapshot instead."""
        raise UsageError("rewind: a state does not contain the states before it; take a snapshot and restore it")

    def write(
        self,
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
    ) -> Iterator[str]:
        """Write at most ``length`` units after what was read, and read them. Yields text in pieces.

        The options are those of ``Model.generate`` but for ``seed``, which the stream has.
        """
        raise UsageError(f"write: for language models; this is a {self.model.task} model")


def checked_texts(rows: Iterable[Any]) -> Iterator[str]:
    """Yield ``rows``. Raises ``DataError`` for one that is no text."""
    if isinstance(rows, str):
        raise UsageError("rows: got a text, wanted a list of texts")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, str):
            raise DataError(f"row {number}: got {type(row).__name__}, wanted a text")
        yield row
