"""The stores keep the same promises, and refuse what they cannot keep."""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from seriatim.errors import RunError, UsageError
from seriatim.serve.models import Models
from seriatim.serve.operations import Close, Create, Step
from seriatim.serve.redis_store import RedisStore
from seriatim.serve.sessions import Sessions
from seriatim.serve.sqlite_store import SqliteStore
from seriatim.serve.store import KEEP_ENDED, Record, StoreError, Write

from .test_sessions import answers_alone, ask, best, refusal


def record(name: str, **changes: object) -> Record:
    stored = Record(name, "g", "model", 0, "live", b"\x00state", b"", b"", 10.0, 20.0)
    return replace(stored, **changes)


@pytest.fixture(params=["sqlite", "memory", "redis"])
def any_store(request, tmp_path):
    if request.param == "redis":
        server = request.getfixturevalue("start_redis")()
        opened = RedisStore(server.url)
    else:
        opened = SqliteStore(tmp_path / "s.db", "full" if request.param == "sqlite" else "memory")
    yield opened
    opened.close()


def test_what_is_written_is_read(any_store):
    first, second = record("a"), record("b", seq=7, answer=b"{}", digest=b"\xff", status="closed")
    assert any_store.commit([Write(first, None), Write(record("b"), None)]) == [True, True]
    assert any_store.commit([Write(second, 0)]) == [True]
    assert any_store.read(["a", "b", "c"]) == {"a": first, "b": second}
    assert any_store.read([]) == {}
    assert any_store.live_count() == 1 and any_store.live_models() == {"model"}


def test_idle_sessions_end_and_are_forgotten_later(any_store):
    many = [record(f"s{index}", updated=20.0) for index in range(600)]
    any_store.commit([Write(stored, None) for stored in [*many, record("new", updated=50.0)]])
    assert sorted(any_store.end_idle(50.0, 100.0)) == sorted(stored.id for stored in many)
    ended = any_store.read(["s7"])["s7"]
    assert (ended.status, ended.snapshot, ended.answer) == ("expired", b"", b"")
    assert any_store.live_count() == 1 and any_store.end_idle(50.0, 100.0) == []
    if not any_store.is_shared:  # Redis forgets by its own clock
        any_store.end_idle(50.0, 101.0 + KEEP_ENDED)
        assert any_store.read(["s7"]) == {}


def test_a_failed_commit_stores_nothing_of_the_batch(store):
    store.commit([Write(record("a"), None)])
    with pytest.raises(StoreError, match="UNIQUE"):
        store.commit([Write(record("b"), None), Write(record("a"), None)])
    assert store.read(["b"]) == {}
    assert store.commit([Write(record("b"), None)]) == [True]


def test_redis_changes_only_what_was_read(start_redis):
    server = start_redis()
    first, second = RedisStore(server.url), RedisStore(server.url)
    assert first.commit([Write(record("a"), None)]) == [True]
    assert second.commit([Write(record("a"), None)]) == [False]
    assert first.commit([Write(record("a", seq=1), 0)]) == [True]
    assert second.commit([Write(record("a", seq=1, answer=b"x"), 0), Write(record("b"), None)]) == [False, True]
    assert second.commit([Write(record("a", seq=2, generation="other"), 1)]) == [False]
    assert first.read(["a"])["a"] == record("a", seq=1)
    assert first.commit([Write(record("a", seq=1, status="closed"), 1)]) == [True]
    assert second.commit([Write(record("a", seq=2), 1)]) == [False]  # a closed session does not come back
    first.close(), second.close()


def test_redis_warns_unless_every_write_is_kept(start_redis):
    assert RedisStore(start_redis().url).warnings() == []
    (warning,) = RedisStore(start_redis("--appendonly", "no").url).warnings()
    assert "appendonly is off" in warning
    (warning,) = RedisStore(start_redis("--appendonly", "yes", "--appendfsync", "everysec").url).warnings()
    assert "appendfsync is everysec" in warning
    evicting = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "50mb")
    (warning,) = RedisStore(start_redis(*evicting, "--maxmemory-policy", "allkeys-lru").url).warnings()
    assert "may evict live sessions" in warning


def test_redis_that_is_killed_and_started_again_loses_nothing(start_redis, language_models, language_model):
    server = start_redis()
    sessions = Sessions(language_models, RedisStore(server.url))
    ask(sessions, Create("a", seed=1))
    answers = [ask(sessions, Step("a", seq, unit)) for seq, unit in enumerate("to ", 1)]
    server.kill()
    assert refusal(sessions, Step("a", 4, "b")).code == "store_failed"
    assert refusal(sessions, Create("b")).code == "store_failed"
    with pytest.raises(StoreError):
        sessions.store.warnings()
    server.start()
    assert ask(sessions, Step("a", 3, " ")) == answers[-1]
    answers += [ask(sessions, Step("a", seq, unit)) for seq, unit in ((4, "b"), (5, "e"))]
    assert [best(answer) for answer in answers] == answers_alone(language_model, "to be", 1)


def test_a_session_moves_between_two_replicas(start_redis, language_model):
    from seriatim.runtime import load

    from .conftest import LANGUAGE

    server = start_redis()
    replicas = [Sessions(Models(lambda: load(LANGUAGE)), RedisStore(server.url)) for _ in range(2)]
    ask(replicas[0], Create("a", seed=1))
    text = "to be or not to be"
    answers = []
    for seq, unit in enumerate(text, 1):
        answers.append(ask(replicas[seq * 7 % 3 % 2], Step("a", seq, unit)))
        assert ask(replicas[seq % 2], Step("a", seq, unit)) == answers[-1]
    assert [best(answer) for answer in answers] == answers_alone(language_model, text, 1)
    ask(replicas[0], Close("a"))
    assert refusal(replicas[1], Step("a", len(text) + 1, "x")).code == "session_closed"


def test_redis_that_is_not_there():
    with pytest.raises(RunError, match="state: Redis cannot be used"):
        RedisStore("redis://127.0.0.1:1/0")


def test_two_servers_cannot_use_one_file(tmp_path):
    first = SqliteStore(tmp_path / "s.db")
    first.commit([Write(record("a"), None)])
    code = f"from seriatim.serve.sqlite_store import SqliteStore; SqliteStore({str(tmp_path / 's.db')!r})"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "another server uses it" in process.stderr
    first.close()


def test_files_that_are_no_state_are_refused_and_unchanged(tmp_path):
    text, foreign, newer = tmp_path / "text", tmp_path / "foreign.db", tmp_path / "newer.db"
    text.write_text("no database " * 100)
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE sessions (id)")
    connection.close()
    SqliteStore(newer).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    for path, reason in ((text, "not a database"), (foreign, "of another program"), (newer, "reads up to 1")):
        with pytest.raises(RunError, match=f"state: .*{reason}"):
            SqliteStore(path)
    with pytest.raises(RunError, match="cannot be used"):
        SqliteStore(tmp_path / "missing" / "s.db")
    with pytest.raises(UsageError, match="durability: got 'some'"):
        SqliteStore(tmp_path / "s.db", "some")
    assert text.read_text().startswith("no database")


def test_each_durability_says_what_it_gives_up(tmp_path):
    assert SqliteStore(tmp_path / "s.db").warnings() == []
    assert "a crash of the system" in SqliteStore(tmp_path / "n.db", "normal").warnings()[0]
    assert "lost when the server ends" in SqliteStore(tmp_path / "m.db", "memory").warnings()[0]
    assert not (tmp_path / "m.db").exists()


def test_a_full_disk_acknowledges_nothing(tmp_path, language_models, language_model):
    store = SqliteStore(tmp_path / "s.db")
    sessions = Sessions(language_models, store)
    ask(sessions, Create("a", seed=1))
    text, seq, refused = "to be or not " * 3, 0, 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    used = sum(file.stat().st_size for file in tmp_path.iterdir())
    answers = []
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (used + 20_000, limits[1]))
        while not refused:
            results = sessions.handle([Step("a", seq + 1, text[seq])])
            if isinstance(results[0], bytes):
                answers.append(results[0])
                seq += 1
            else:
                refused += 1
                assert results[0].code == "store_failed"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert seq > 0
    answers += sessions.handle([Step("a", number, text[number - 1]) for number in range(seq + 1, len(text) + 1)])
    assert [best(json.loads(answer)) for answer in answers] == answers_alone(language_model, text, 1)
    store.close()
    again = Sessions(language_models, SqliteStore(tmp_path / "s.db"))
    assert ask(again, Step("a", len(text), text[-1])) == json.loads(answers[-1])
