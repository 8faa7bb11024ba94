"""The interface of a store of sessions, and what it stores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

LIVE: Final = "live"
EXPIRED: Final = "expired"
CLOSED: Final = "closed"
KEEP_ENDED: Final = 30 * 24 * 3600.0
"""Seconds for which the store remembers that a session has ended; afterwards it is unknown."""


@dataclass(frozen=True, slots=True)
class Record:
    """A session as it is stored."""

    id: str
    generation: str
    """A random word that tells a session from an earlier one with the same id."""
    model: str
    """The hash of the model that the state belongs to."""
    seq: int
    """The number of the last step; 0 before the first."""
    status: str
    """``live``, ``expired`` or ``closed``. A session that has ended has no state."""
    snapshot: bytes
    answer: bytes
    """The JSON answer to the last step."""
    digest: bytes
    """A hash of the request of the last step."""
    created: float
    updated: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Write:
    """A record to store. The change is made only if the stored session still has the sequence number ``after``.

    ``after`` is None for a new session.
    """

    record: Record
    after: int | None


class StoreError(Exception):
    """The store did not confirm an operation. A write may or may not have happened."""


class SessionStore(ABC):
    """Keeps sessions. Its methods raise ``StoreError`` if the store fails."""

    is_shared: bool
    """Whether other servers may change the sessions."""

    @abstractmethod
    def read(self, ids: Collection[str]) -> dict[str, Record]:
        """Return the records that are there, by id."""

    @abstractmethod
    def commit(self, writes: Sequence[Write]) -> list[bool]:
        """Store records of different sessions, and return when they are as durable as the store makes them.

        A false result is a session that another server has changed; its record was not stored.
        """

    @abstractmethod
    def live_count(self) -> int:
        """Return the number of live sessions."""

    @abstractmethod
    def live_models(self) -> set[str]:
        """Return the hashes of the models of all live sessions."""

    @abstractmethod
    def end_idle(self, before: float, now: float) -> list[str]:
        """Mark live sessions that were not updated since ``before`` as expired, and return their ids.

        It also forgets sessions that ended ``KEEP_ENDED`` seconds before ``now``.
        """

    @abstractmethod
    def warnings(self) -> list[str]:
        """Return a sentence for each way in which an acknowledged step may be lost. Raises ``StoreError``."""

    @abstractmethod
    def close(self) -> None:
        """Release the store."""
