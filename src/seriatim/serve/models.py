"""The models of a server: the current one, and earlier ones that still have sessions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, final

from seriatim.errors import UsageError
from seriatim.runtime import Model, Stream
from seriatim.serve.answers import Answers, vocabulary_of


@dataclass(frozen=True)
class ServedModel:
    """A model, and what turns its answers into JSON."""

    model: Model
    answers: Answers

    @property
    def hash(self) -> str:
        """The hash of the model, by which its sessions find it."""
        return self.model.hash

    def begin(self, seed: int | None, series: str | None) -> Stream:
        """Begin a stream. ``series`` is a series of the training of a forecaster. Raises ``UsageError``."""
        if series is None:
            return self.model.stream(seed=seed)
        if self.model.task != "forecast":
            raise UsageError(f"series: for forecast models; this is a {self.model.task} model")
        stream: Any = self.model.stream
        begun: Stream = stream(id=series, seed=seed)
        return begun

    @property
    def has_streams(self) -> bool:
        """Whether the model can read a stream."""
        try:
            self.model.stream(seed=0)
        except UsageError:
            return False
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the facts that a client needs."""
        model = self.model
        facts: dict[str, Any] = {
            "id": model.hash[:12], "object": "model", "owned_by": "seriatim", "created": 0,
            "hash": model.hash, "task": model.task, "model": model.name, "dtype": model.info.get("dtype"),
            "streams": self.has_streams, "writes": model.writing,
        }  # fmt: skip
        vocabulary = vocabulary_of(model)
        if vocabulary is not None:
            facts |= {"unit": vocabulary.unit, "units": len(vocabulary)}
        if model.task == "forecast":
            names = ("lookback", "horizon", "targets", "covariates")
            facts |= {name: getattr(model, name) for name in names if hasattr(model, name)}
        inputs = getattr(model, "inputs", None)
        if inputs is not None:
            facts |= {"reads": "text" if inputs.vocabulary is not None else "sound" if inputs.sound else "numbers"}
            facts |= {"channels": inputs.channels} if inputs.vocabulary is None else {}
        return facts


@final
class Models:
    """The current model, and those that are being drained: they have live sessions, but get no new ones.

    ``load`` reads the model; it is called again by ``reload``.
    """

    def __init__(self, load: Callable[[], Model]) -> None:
        self._load = load
        self.current = self._read()
        self._by_hash = {self.current.hash: self.current}

    def find(self, hash: str) -> ServedModel | None:
        """Return the model with this hash, if this server runs it."""
        return self._by_hash.get(hash)

    def all(self) -> list[ServedModel]:
        """Return the current model, and then the others."""
        others = [served for served in list(self._by_hash.values()) if served is not self.current]
        return [self.current, *others]

    def reload(self) -> bool:
        """Read the model again, and return whether it is another one, which then gets the new sessions.

        If it cannot be read, the current one stays, and the error is raised.
        """
        served = self._read()
        if served.hash in self._by_hash:
            is_new = served.hash != self.current.hash
            self.current = self._by_hash[served.hash]
            return is_new
        self._by_hash[served.hash] = served
        self.current = served
        return True

    def retire(self, used: Collection[str]) -> list[str]:
        """Forget models without live sessions, except the current one, and return their hashes."""
        ended = [hash for hash in self._by_hash if hash not in used and hash != self.current.hash]
        for hash in ended:
            del self._by_hash[hash]
        return ended

    def _read(self) -> ServedModel:
        model = self._load()
        return ServedModel(model, Answers(model))
