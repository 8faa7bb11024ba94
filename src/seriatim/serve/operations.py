"""The operations that a client can request of a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Create:
    """Begin a session. ``snapshot`` is a state to begin with; ``series`` a series of a forecaster's training."""

    id: str
    seed: int | None = None
    series: str | None = None
    snapshot: bytes | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Take step ``seq``. Of a language model the ``top`` most probable units are answered."""

    id: str
    seq: int
    x: Any
    top: int = 5
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class PutState:
    """Replace the state; this counts as step ``seq``."""

    id: str
    seq: int
    snapshot: bytes


@dataclass(frozen=True, slots=True)
class GetState:
    """Return the state."""

    id: str


@dataclass(frozen=True, slots=True)
class Fork:
    """Begin session ``to`` with the state of session ``id``."""

    id: str
    to: str


@dataclass(frozen=True, slots=True)
class Close:
    """End a session."""

    id: str


@dataclass(frozen=True, slots=True)
class Describe:
    """Tell the number of the last step."""

    id: str


Operation = Create | Step | PutState | GetState | Fork | Close | Describe


def names_of(operation: Operation) -> tuple[str, ...]:
    """Return the ids of the sessions that the operation touches."""
    return (operation.id, operation.to) if isinstance(operation, Fork) else (operation.id,)
