"""Sessions in an SQLite file, for one server."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, final

from seriatim.errors import RunError, UsageError
from seriatim.serve.store import EXPIRED, KEEP_ENDED, LIVE, Record, SessionStore, StoreError, Write

APPLICATION: Final = 0x53455249  # "SERI"
VERSION: Final = 1
SYNCHRONOUS: Final = {"full": "FULL", "normal": "NORMAL", "memory": "OFF"}
WARNINGS: Final = {
    "full": [],
    "normal": ["durability normal: a crash of the system may lose the last steps; a killed server loses none"],
    "memory": ["durability memory: the sessions are lost when the server ends"],
}
COLUMNS: Final = "id, generation, model, seq, status, created, updated, snapshot, answer, digest"
AT_ONCE: Final = 500
"""The number of ids in one query."""


@final
class SqliteStore(SessionStore):
    """A database with a write-ahead log. One commit stores a batch.

    ``durability`` is ``full`` (each commit is forced to the disk), ``normal`` (a crash of the system may lose the last
    commits) or ``memory`` (no file). Raises ``RunError`` for a file that cannot be used.
    """

    is_shared = False

    def __init__(self, path: str | Path, durability: str = "full") -> None:
        if durability not in SYNCHRONOUS:
            raise UsageError(f"durability: got '{durability}', wanted {', '.join(SYNCHRONOUS)}")
        self.path = Path(path)
        self.durability = durability
        place = ":memory:" if durability == "memory" else str(self.path)
        try:
            self._connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False, timeout=1.0)
            try:
                self._open()
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            reason = "another server uses it" if "locked" in str(error) else str(error)
            raise RunError(f"state: {self.path} cannot be used ({reason})") from None

    def _open(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")  # one server; and without shared memory
        execute("PRAGMA trusted_schema = OFF")
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {SYNCHRONOUS[self.durability]}")
        execute("BEGIN EXCLUSIVE")
        application, version = (execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        tables = execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application != APPLICATION:
            raise RunError(f"state: {self.path} is a database of another program")
        if version > VERSION:
            raise RunError(f"state: {self.path} has version {version}, but this seriatim reads up to {VERSION}")
        execute(f"PRAGMA application_id = {APPLICATION}")
        execute(f"PRAGMA user_version = {VERSION}")
        execute(
            "CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, generation TEXT NOT NULL, model TEXT NOT NULL, "
            "seq INTEGER NOT NULL, status TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, "
            "snapshot BLOB NOT NULL, answer BLOB NOT NULL, digest BLOB NOT NULL) STRICT"
        )
        execute("COMMIT")

    def read(self, ids: Collection[str]) -> dict[str, Record]:
        names = list(ids)
        records: dict[str, Record] = {}
        with _store_errors():
            for start in range(0, len(names), AT_ONCE):
                part = names[start : start + AT_ONCE]
                marks = ",".join("?" * len(part))
                rows = self._connection.execute(f"SELECT {COLUMNS} FROM sessions WHERE id IN ({marks})", part)
                records |= {row[0]: _record(row) for row in rows}
        return records

    def commit(self, writes: Sequence[Write]) -> list[bool]:
        new = [write.record for write in writes if write.after is None]
        changed = [write.record for write in writes if write.after is not None]
        with self._transaction():
            if new:
                self._connection.executemany(
                    f"INSERT INTO sessions ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)", map(_values, new)
                )
            if changed:
                self._connection.executemany(
                    "UPDATE sessions SET model=?, seq=?, status=?, updated=?, snapshot=?, answer=?, digest=? "
                    "WHERE id=?",
                    [(r.model, r.seq, r.status, r.updated, r.snapshot, r.answer, r.digest, r.id) for r in changed],
                )
        return [True] * len(writes)  # this server alone changes the file, so what it has read is current

    def live_count(self) -> int:
        with _store_errors():
            return int(self._connection.execute("SELECT count(*) FROM sessions WHERE status=?", (LIVE,)).fetchone()[0])

    def live_models(self) -> set[str]:
        with _store_errors():
            rows = self._connection.execute("SELECT DISTINCT model FROM sessions WHERE status=?", (LIVE,))
            return {row[0] for row in rows}

    def end_idle(self, before: float, now: float) -> list[str]:
        with self._transaction():
            rows = self._connection.execute("SELECT id FROM sessions WHERE status=? AND updated<?", (LIVE, before))
            ids = [row[0] for row in rows]
            self._connection.executemany(
                "UPDATE sessions SET status=?, updated=?, snapshot=x'', answer=x'', digest=x'' WHERE id=?",
                [(EXPIRED, now, id) for id in ids],
            )
            self._connection.execute("DELETE FROM sessions WHERE status<>? AND updated<?", (LIVE, now - KEEP_ENDED))
        return ids

    def warnings(self) -> list[str]:
        return list(WARNINGS[self.durability])

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what the block writes, or nothing of it."""
        with _store_errors():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # some failures have rolled back already
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                raise


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(str(error)) from error


def _values(record: Record) -> tuple[object, ...]:
    return (
        record.id, record.generation, record.model, record.seq, record.status, record.created, record.updated,
        record.snapshot, record.answer, record.digest,
    )  # fmt: skip


def _record(row: tuple[object, ...]) -> Record:
    id, generation, model, seq, status, created, updated, snapshot, answer, digest = row
    return Record(id, generation, model, seq, status, snapshot, answer, digest, created, updated)  # type: ignore[arg-type]
