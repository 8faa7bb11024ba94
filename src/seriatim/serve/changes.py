"""A session in memory, and a change of it that is computed but not yet stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final

from pydantic_core import to_json

from seriatim.runtime import Stream
from seriatim.serve import refusals
from seriatim.serve.models import ServedModel
from seriatim.serve.operations import Step
from seriatim.serve.store import Record, Write

DIGEST: Final = 16

Result = bytes | dict[str, Any]
"""An answer as JSON, a state as bytes, or a description."""


@dataclass(slots=True)
class LiveSession:
    """A session in memory. The snapshot of ``record`` is empty, because the stream has the state."""

    record: Record
    stream: Stream
    served: ServedModel


@dataclass(slots=True)
class Change:
    """A change that is computed and not yet stored. ``session`` is what stays in memory after it."""

    write: Write
    session: LiveSession | None
    result: Result


def digest_of(step: Step) -> bytes:
    """Return a hash of what a step asks, by which a repeated step is known. Raises ``Refusal`` for no JSON value."""
    try:
        return hash_of(to_json([step.x, step.top, step.hidden]))
    except ValueError:
        raise refusals.malformed("x: not a JSON value") from None


def hash_of(content: bytes) -> bytes:
    """Return a short hash of ``content``."""
    return blake2b(content, digest_size=DIGEST).digest()


def change_of(session: LiveSession, stream: Stream, seq: int, answer: bytes, digest: bytes, now: float) -> Change:
    """Return the change of a session to a stream that has taken step ``seq``."""
    record = replace(session.record, seq=seq, answer=answer, digest=digest, updated=now)
    stored = replace(record, snapshot=stream.snapshot())
    return Change(Write(stored, session.record.seq), LiveSession(record, stream, session.served), answer)
