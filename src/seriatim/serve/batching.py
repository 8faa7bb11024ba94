"""Runs the operations that arrive together as one batch, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from seriatim.serve import refusals
from seriatim.serve.changes import Result
from seriatim.serve.metrics import Metrics
from seriatim.serve.operations import Operation, Step
from seriatim.serve.refusals import Refusal
from seriatim.serve.sessions import Sessions
from seriatim.serve.store import StoreError

LOG: Final = logging.getLogger("seriatim.serve")
LONGEST_BATCH: Final = 512
LONGEST_QUEUE: Final = 20_000


@dataclass(slots=True)
class Waiting:
    """An operation, or a function, and the future of its result."""

    work: Operation | Callable[[], Any]
    future: asyncio.Future[Any]
    arrived: float
    result: Any = None


@final
class Batcher:
    """The only thread that uses ``sessions``.

    While a batch runs, others arrive; they are the next batch. Nothing waits for a batch to fill, and there are no
    slots: a session needs no place in a batch to live. Every ``sweep_every`` seconds, idle sessions are ended.
    """

    def __init__(self, sessions: Sessions, metrics: Metrics, *, sweep_every: float = 60.0) -> None:
        self.sessions, self.metrics = sessions, metrics
        self._sweep_every = sweep_every
        self._queue: deque[Waiting] = deque()
        self._arrived = threading.Condition()
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="seriatim-batches", daemon=True)

    def start(self) -> None:
        """Begin; futures belong to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Refuse new operations, finish those that wait, and end the thread."""
        with self._arrived:
            self._is_stopping = True
            self._arrived.notify()
        await asyncio.to_thread(self._thread.join)

    @property
    def waiting(self) -> int:
        """The number of operations that wait for a batch."""
        return len(self._queue)

    def submit(self, operation: Operation) -> asyncio.Future[Result]:
        """Return the future of the operation's result, which may raise ``Refusal``."""
        return self._submit(operation)

    def call(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Return the future of a function that runs between two batches."""
        return self._submit(function)

    def _submit(self, work: Operation | Callable[[], Any]) -> asyncio.Future[Any]:
        assert self._loop is not None
        entry = Waiting(work, self._loop.create_future(), time.perf_counter())
        with self._arrived:
            if self._is_stopping:
                raise Refusal(503, "stopping", "the server is stopping", retry_after=5)
            if len(self._queue) >= LONGEST_QUEUE:
                raise Refusal(503, "overloaded", f"{LONGEST_QUEUE} operations wait", retry_after=1)
            self._queue.append(entry)
            if len(self._queue) == 1:
                self._arrived.notify()
        return entry.future

    def _run(self) -> None:
        next_sweep = time.monotonic() + self._sweep_every
        while True:
            with self._arrived:
                while not self._queue and not self._is_stopping and time.monotonic() < next_sweep:
                    self._arrived.wait(next_sweep - time.monotonic())
                entries = [self._queue.popleft() for _ in range(min(len(self._queue), LONGEST_BATCH))]
                if not entries and self._is_stopping:
                    return
            if entries:
                self._handle(entries)
            if time.monotonic() >= next_sweep:
                self._sweep()
                next_sweep = time.monotonic() + self._sweep_every

    def _handle(self, entries: list[Waiting]) -> None:
        started = time.perf_counter()
        operations = [entry for entry in entries if not callable(entry.work)]
        for entry in entries:
            self.metrics.queue.add(started - entry.arrived)
            if callable(entry.work):
                entry.result = _result_of(entry.work)
        if operations:
            self.metrics.batch.add(len(operations))
            try:
                results: list[Any] = list(self.sessions.handle([entry.work for entry in operations]))  # type: ignore[misc]
            except Exception:
                LOG.exception("a batch failed")
                results = [refusals.internal()] * len(operations)
            for entry, result in zip(operations, results, strict=True):
                entry.result = result
        ended = time.perf_counter()
        for entry in operations:
            if isinstance(entry.work, Step):
                self.metrics.latency.add(ended - entry.arrived)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(_resolve, entries)

    def _sweep(self) -> None:
        try:
            self.sessions.sweep()
        except StoreError as error:
            LOG.warning("idle sessions were not ended: %s", error)
        except Exception:
            LOG.exception("idle sessions were not ended")


def _result_of(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        return error


def _resolve(entries: list[Waiting]) -> None:
    for entry in entries:
        if entry.future.done():  # the client has gone
            continue
        if isinstance(entry.result, Exception):
            entry.future.set_exception(entry.result)
        else:
            entry.future.set_result(entry.result)
