"""Sessions in Redis, for several servers that share them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, final

from seriatim.errors import MissingExtra, RunError
from seriatim.serve.store import CLOSED, EXPIRED, KEEP_ENDED, LIVE, Record, SessionStore, StoreError, Write

VERSION: Final = b"1"
PREFIX: Final = "seriatim:session:"
LIVE_KEY: Final = "seriatim:live"
MODELS_KEY: Final = "seriatim:models"
FORMAT_KEY: Final = "seriatim:format"
FIELDS: Final = ("generation", "model", "seq", "status", "snapshot", "answer", "digest", "created", "updated")
AT_ONCE: Final = 256
"""The number of sessions in one script: no other command runs meanwhile."""
SECONDS: Final = 5.0
"""The longest wait for an answer of Redis."""

COMMIT: Final = """
local live, models, keep = KEYS[1], KEYS[2], ARGV[1]
local results = {}
for i = 3, #KEYS do
    local key, at = KEYS[i], 2 + (i - 3) * 11
    local id, after, generation, model, seq, status = unpack(ARGV, at, at + 5)
    local snapshot, answer, digest, created, updated = unpack(ARGV, at + 6, at + 10)
    local stored = redis.call('HMGET', key, 'generation', 'seq', 'status')
    local is_current
    if after == '' then
        is_current = not stored[1]
    else
        is_current = stored[1] == generation and stored[2] == after and stored[3] == 'live'
    end
    if is_current then
        redis.call('HSET', key, 'generation', generation, 'model', model, 'seq', seq, 'status', status,
            'snapshot', snapshot, 'answer', answer, 'digest', digest, 'created', created, 'updated', updated)
        if status == 'live' then
            redis.call('ZADD', live, updated, id)
            if after == '' then redis.call('HINCRBY', models, model, 1) end
        else
            redis.call('ZREM', live, id)
            redis.call('HINCRBY', models, model, -1)
            redis.call('PEXPIRE', key, keep)
        end
    end
    results[#results + 1] = is_current and 1 or 0
end
return results
"""
"""Compare and set: a record replaces the stored one only if that is live and has the expected number."""

END_IDLE: Final = """
local live, models, before, now, keep = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local ids = redis.call('ZRANGEBYSCORE', live, '-inf', '(' .. before, 'LIMIT', 0, 256)
for _, id in ipairs(ids) do
    local key = ARGV[4] .. id
    redis.call('ZREM', live, id)
    local model = redis.call('HGET', key, 'model')
    if model then
        redis.call('HINCRBY', models, model, -1)
        redis.call('HSET', key, 'status', 'expired', 'updated', now, 'snapshot', '', 'answer', '', 'digest', '')
        redis.call('PEXPIRE', key, keep)
    end
end
return ids
"""


@final
class RedisStore(SessionStore):
    """A Redis server of version 5 or later, without cluster mode. Raises ``RunError`` if it cannot be used.

    A session changes only by a script that compares its number first, so two servers never take the same step twice.
    """

    is_shared = True

    def __init__(self, url: str) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ModuleNotFoundError:
            raise MissingExtra("state redis://", "serve") from None
        try:
            # No second try: a lost answer is no proof that the write was lost. The rules of sessions decide.
            self._redis: Any = redis.Redis.from_url(
                url, retry=Retry(NoBackoff(), 0), socket_timeout=SECONDS, socket_connect_timeout=SECONDS
            )
            self._redis.set(FORMAT_KEY, VERSION, nx=True)
            version = self._redis.get(FORMAT_KEY)
        except (redis.RedisError, ValueError) as error:
            raise RunError(f"state: Redis cannot be used ({error})") from None
        self._failure = redis.RedisError
        if version != VERSION:
            raise RunError(f"state: Redis has format {version!r}, but this seriatim reads {VERSION!r}")
        self._commit = self._redis.register_script(COMMIT)
        self._end_idle = self._redis.register_script(END_IDLE)

    def read(self, ids: Collection[str]) -> dict[str, Record]:
        names = list(ids)
        with self._errors():
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                pipeline.hmget(PREFIX + name, FIELDS)
            rows = pipeline.execute()
        return {name: _record(name, row) for name, row in zip(names, rows, strict=True) if row[0] is not None}

    def commit(self, writes: Sequence[Write]) -> list[bool]:
        results: list[bool] = []
        with self._errors():
            for start in range(0, len(writes), AT_ONCE):
                part = writes[start : start + AT_ONCE]
                keys = [LIVE_KEY, MODELS_KEY, *(PREFIX + write.record.id for write in part)]
                values = [value for write in part for value in _values(write)]
                results += [bool(done) for done in self._commit(keys, [int(KEEP_ENDED * 1000), *values])]
        return results

    def live_count(self) -> int:
        with self._errors():
            return int(self._redis.zcard(LIVE_KEY))

    def live_models(self) -> set[str]:
        with self._errors():
            return {name.decode() for name, count in self._redis.hgetall(MODELS_KEY).items() if int(count) > 0}

    def end_idle(self, before: float, now: float) -> list[str]:
        ended: list[str] = []
        with self._errors():
            while True:
                values = [repr(before), repr(now), str(int(KEEP_ENDED * 1000)), PREFIX]
                ids = [name.decode() for name in self._end_idle([LIVE_KEY, MODELS_KEY], values)]
                ended += ids
                if not ids:
                    return ended

    def warnings(self) -> list[str]:
        with self._errors():
            facts = self._redis.info("persistence")
            try:
                settings: dict[str, str] = {
                    name: value
                    for setting in ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
                    for name, value in self._redis.config_get(setting).items()
                }
            except self._failure:
                return ["redis: its settings cannot be read (CONFIG GET), so whether it keeps every write is unknown"]
        faults = []
        if settings.get("appendonly") != "yes":
            faults.append("redis: appendonly is off, so a restart loses all steps since its last snapshot")
        elif settings.get("appendfsync") != "always":
            faults.append(f"redis: appendfsync is {settings.get('appendfsync')}, so a crash may lose the last steps")
        if facts.get("aof_last_write_status", "ok") != "ok":
            faults.append("redis: the last write of its append-only file failed")
        if settings.get("maxmemory-policy", "noeviction") != "noeviction" and settings.get("maxmemory") != "0":
            faults.append(f"redis: maxmemory-policy is {settings['maxmemory-policy']}, so it may evict live sessions")
        return faults

    def close(self) -> None:
        self._redis.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._failure as error:
            raise StoreError(f"redis: {error}") from error


def _values(write: Write) -> list[Any]:
    record = write.record
    after = "" if write.after is None else write.after
    return [
        record.id, after, record.generation, record.model, record.seq, record.status, record.snapshot, record.answer,
        record.digest, repr(record.created), repr(record.updated),
    ]  # fmt: skip


def _record(name: str, row: Sequence[bytes]) -> Record:
    generation, model, seq, status, snapshot, answer, digest, created, updated = row
    try:
        record = Record(
            name, generation.decode(), model.decode(), int(seq), status.decode(), snapshot, answer, digest,
            float(created), float(updated),
        )  # fmt: skip
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"redis: session '{name}' is damaged ({error})") from None
    if record.status not in (LIVE, EXPIRED, CLOSED) or not math.isfinite(record.updated):
        raise StoreError(f"redis: session '{name}' is damaged")
    return record
