"""The rules of sessions, without a network: what a request changes, answers, or is refused.

``handle`` takes the operations that arrived together. Steps of different sessions run as one batch of the model, and
all changes are stored by one commit before any is acknowledged. The state in memory is only a copy of the stored one.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, final

from pydantic_core import to_json

from seriatim.errors import SeriatimError
from seriatim.runtime import Stream
from seriatim.serve import refusals
from seriatim.serve.changes import Change, LiveSession, Result, change_of, digest_of, hash_of
from seriatim.serve.models import Models, ServedModel
from seriatim.serve.operations import Close, Create, Describe, Fork, GetState, Operation, PutState, Step, names_of
from seriatim.serve.refusals import Refusal
from seriatim.serve.store import CLOSED, EXPIRED, LIVE, Record, SessionStore, StoreError, Write

LOG: Final = logging.getLogger("seriatim.serve")


class Stale(Exception):
    """The copy of a session in memory may be older than the stored session."""


@final
class Sessions:
    """All sessions of a server.

    At most ``max_in_memory`` have their state in memory; the others are read from the store when they are used. Not for
    several threads at once.
    """

    def __init__(
        self,
        models: Models,
        store: SessionStore,
        *,
        max_sessions: int = 100_000,
        max_in_memory: int = 10_000,
        idle: float = 86_400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.models, self.store = models, store
        self.max_sessions, self.max_in_memory, self.idle = max_sessions, max_in_memory, idle
        self._clock = clock
        self._memory: OrderedDict[str, LiveSession] = OrderedDict()
        self.live = store.live_count()
        """The number of live sessions when it was last read or changed here."""
        self._store_fails = False
        self.steps_taken = 0
        self.steps_repeated = 0
        self.paged_in = 0

    @property
    def in_memory(self) -> int:
        """The number of sessions whose state is in memory."""
        return len(self._memory)

    def handle(self, operations: Sequence[Operation]) -> list[Result | Refusal]:
        """Carry out the operations; those of one session in their order."""
        results: list[Result | Refusal | None] = [None] * len(operations)
        waiting = list(range(len(operations)))
        while waiting:
            chosen: list[int] = []
            later: list[int] = []
            used: set[str] = set()
            for index in waiting:
                names = names_of(operations[index])
                (later if used.intersection(names) else chosen).append(index)
                used.update(names)
            for index, result in zip(chosen, self._round([operations[i] for i in chosen]), strict=True):
                results[index] = result
            waiting = later
        while len(self._memory) > self.max_in_memory:
            self._memory.popitem(last=False)
        return [result for result in results if result is not None]

    def sweep(self) -> int:
        """End the sessions that were idle too long, and forget models without sessions. Returns how many ended."""
        now = self._clock()
        ended = self.store.end_idle(now - self.idle, now)
        for name in ended:
            self._memory.pop(name, None)
        self.live = self.store.live_count()
        self.models.retire(self.store.live_models())
        return len(ended)

    def _round(self, operations: Sequence[Operation]) -> list[Result | Refusal]:
        """Carry out operations on different sessions."""
        results = self._attempt(operations)
        stale = [index for index, result in enumerate(results) if isinstance(result, Stale)]
        if stale:  # another server has changed these sessions: read them again
            for index in stale:
                for name in names_of(operations[index]):
                    self._memory.pop(name, None)
            for index, result in zip(stale, self._attempt([operations[i] for i in stale]), strict=True):
                results[index] = result
        changed = refusals.store_failed("another server changes the session")
        return [changed if isinstance(result, Stale) else result for result in results]

    def _attempt(self, operations: Sequence[Operation]) -> list[Result | Refusal | Stale]:
        if self.store.is_shared:
            for operation in operations:
                if not isinstance(operation, Step):
                    for name in names_of(operation):
                        self._memory.pop(name, None)
        names = {name for operation in operations for name in names_of(operation)}
        results: list[Result | Refusal | Stale | Change] = []
        try:
            records = self.store.read(names - self._memory.keys()) if names - self._memory.keys() else {}
            if self.store.is_shared and any(isinstance(operation, (Create, Fork)) for operation in operations):
                self.live = self.store.live_count()
        except StoreError as error:
            return [refusals.store_failed(str(error))] * len(operations)
        steps: list[tuple[int, LiveSession, Step]] = []
        new = 0
        for index, operation in enumerate(operations):
            was_in_memory = operation.id in self._memory
            try:
                if isinstance(operation, Step):
                    session, answer = self._check_step(operation, records)
                    results.append(answer)
                    if not answer:
                        steps.append((index, session, operation))
                    continue
                if isinstance(operation, (Create, Fork)) and self.live + new >= self.max_sessions:
                    raise refusals.too_many(self.max_sessions)
                results.append(self._plan(operation, records))
                new += isinstance(operation, (Create, Fork))
            except Refusal as refusal:
                is_stale = self.store.is_shared and was_in_memory
                results.append(Stale() if is_stale else refusal)
            except SeriatimError as error:
                results.append(refusals.malformed(str(error)))
            except Exception:
                LOG.exception("operation %s", type(operation).__name__)
                results.append(refusals.internal())
        for index, change in self._take(steps):
            results[index] = change
        return self._store(operations, results)

    def _store(
        self, operations: Sequence[Operation], results: Sequence[Result | Refusal | Stale | Change]
    ) -> list[Result | Refusal | Stale]:
        """Store all changes by one commit; only then they are acknowledged."""
        changes = [result for result in results if isinstance(result, Change)]
        try:
            stored = iter(self.store.commit([change.write for change in changes]) if changes else [])
        except StoreError as error:
            if not self._store_fails:
                LOG.warning("the store failed, so steps are refused: %s", error)
            self._store_fails = True
            for change in changes:  # whether it was stored is not known: the store decides
                self._memory.pop(change.write.record.id, None)
            failed = refusals.store_failed(str(error))
            return [failed if isinstance(result, Change) else result for result in results]
        if changes and self._store_fails:
            LOG.warning("the store works again")
            self._store_fails = False
        final_results: list[Result | Refusal | Stale] = []
        for operation, result in zip(operations, results, strict=True):
            if not isinstance(result, Change):
                final_results.append(result)
            elif next(stored):
                final_results.append(self._apply(operation, result))
            else:
                self._memory.pop(result.write.record.id, None)
                final_results.append(Stale())
        return final_results

    def _apply(self, operation: Operation, change: Change) -> Result:
        name = change.write.record.id
        if change.session is None:
            self._memory.pop(name, None)
            self.live -= 1
            return change.result
        self._memory[name] = change.session
        self._memory.move_to_end(name)
        self.live += isinstance(operation, (Create, Fork))
        self.steps_taken += isinstance(operation, Step)
        return change.result

    def _session(self, name: str, records: dict[str, Record]) -> LiveSession:
        """Return a live session, from memory or from its record. Raises ``Refusal``."""
        session = self._memory.get(name)
        record = session.record if session else records.get(name)
        if record is None:
            raise refusals.unknown(name)
        if record.status != LIVE:
            raise refusals.gone(name, record.status)
        if record.updated < self._clock() - self.idle:
            raise refusals.gone(name, EXPIRED)
        if session is not None:
            return session
        served = self.models.find(record.model)
        if served is None:
            raise refusals.other_model(name, record.model, self.models.current.hash)
        stream = served.model.stream()
        try:
            stream.restore(record.snapshot)
        except SeriatimError as error:
            LOG.error("session %s: its stored state cannot be read: %s", name, error)
            raise Refusal(500, "state_damaged", f"session '{name}': its stored state cannot be read") from None
        self.paged_in += 1
        session = LiveSession(replace(record, snapshot=b""), stream, served)
        self._memory[name] = session
        return session

    def _check_step(self, step: Step, records: dict[str, Record]) -> tuple[LiveSession, bytes]:
        """Return the session, and the stored answer if the step is its last one again. Raises ``Refusal``."""
        session = self._session(step.id, records)
        record = session.record
        if step.seq == record.seq and record.seq:
            if digest_of(step) != record.digest:
                raise refusals.reused_number(step.id, step.seq)
            self.steps_repeated += 1
            return session, record.answer
        if step.seq != record.seq + 1:
            raise refusals.wrong_number(step.id, step.seq, record.seq + 1)
        return session, b""

    def _take(self, steps: Sequence[tuple[int, LiveSession, Step]]) -> list[tuple[int, Change | Refusal]]:
        """Take the steps on copies of the streams; those of one model as one batch."""
        by_model: dict[str, list[tuple[int, LiveSession, Step]]] = {}
        for entry in steps:
            by_model.setdefault(entry[1].served.hash, []).append(entry)
        done: list[tuple[int, Change | Refusal]] = []
        for entries in by_model.values():
            try:
                done += self._step_many(entries)
            except Exception as error:
                if len(entries) == 1:
                    done.append((entries[0][0], _refusal_of(error)))
                    continue
                for entry in entries:  # find the step that fails; the others must not suffer
                    try:
                        done += self._step_many([entry])
                    except Exception as own_error:
                        done.append((entry[0], _refusal_of(own_error)))
        return done

    def _step_many(self, entries: Sequence[tuple[int, LiveSession, Step]]) -> list[tuple[int, Change | Refusal]]:
        served = entries[0][1].served
        streams = [session.stream.fork() for _, session, _ in entries]
        answers = served.model.step_many(streams, [step.x for _, _, step in entries])
        now = self._clock()
        changes: list[tuple[int, Change | Refusal]] = []
        for (index, session, step), stream, answer in zip(entries, streams, answers, strict=True):
            encoded = served.answers.encode(step.id, step.seq, stream, answer, step.top, step.hidden)
            changes.append((index, change_of(session, stream, step.seq, encoded, digest_of(step), now)))
        return changes

    def _plan(self, operation: Operation, records: dict[str, Record]) -> Result | Change:
        """Compute what an operation other than a step changes. Raises ``Refusal`` or ``SeriatimError``."""
        if isinstance(operation, Create):
            return self._create(operation, records)
        if isinstance(operation, Close) and operation.id in records and records[operation.id].status == CLOSED:
            return {}
        session = self._session(operation.id, records)
        if isinstance(operation, GetState):
            return {"seq": session.record.seq, "snapshot": session.stream.snapshot()}
        if isinstance(operation, Describe):
            return self._description(session)
        if isinstance(operation, Fork):
            self._require_free(operation.to, records)
            return self._new(operation.to, session.stream.fork(), session.served)
        if isinstance(operation, PutState):
            return self._put_state(operation, session)
        record = replace(session.record, status=CLOSED, updated=self._clock(), answer=b"", digest=b"", snapshot=b"")
        return Change(Write(record, session.record.seq), None, {})

    def _create(self, operation: Create, records: dict[str, Record]) -> Change:
        self._require_free(operation.id, records)
        served = self.models.current
        stream = served.begin(operation.seed, operation.series)
        if operation.snapshot is not None:
            stream.restore(operation.snapshot)
        return self._new(operation.id, stream, served)

    def _require_free(self, name: str, records: dict[str, Record]) -> None:
        if name in self._memory or name in records:
            raise refusals.exists(name)

    def _new(self, name: str, stream: Stream, served: ServedModel) -> Change:
        now = self._clock()
        record = Record(name, secrets.token_hex(8), served.hash, 0, LIVE, b"", b"", b"", now, now)
        session = LiveSession(record, stream, served)
        return Change(Write(replace(record, snapshot=stream.snapshot()), None), session, self._description(session))

    def _put_state(self, operation: PutState, session: LiveSession) -> Result | Change:
        record, digest = session.record, hash_of(operation.snapshot)
        if operation.seq == record.seq and record.seq:
            if digest != record.digest:
                raise refusals.reused_number(operation.id, operation.seq)
            return record.answer
        if operation.seq != record.seq + 1:
            raise refusals.wrong_number(operation.id, operation.seq, record.seq + 1)
        stream = session.stream.fork()
        stream.restore(operation.snapshot)
        answer = {"session": operation.id, "seq": operation.seq, "position": stream.position}
        return change_of(session, stream, operation.seq, to_json(answer), digest, self._clock())

    def _description(self, session: LiveSession) -> dict[str, Any]:
        record = session.record
        return {
            "session": record.id, "seq": record.seq, "position": session.stream.position, "model": record.model[:12],
            "created": record.created, "expires": record.updated + self.idle,
        }  # fmt: skip


def _refusal_of(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, SeriatimError):
        return refusals.malformed(str(error))
    LOG.error("a step failed", exc_info=error)
    return refusals.internal()
