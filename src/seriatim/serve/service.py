"""The parts of a running server, which its routes share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, final

from seriatim.serve.batching import Batcher
from seriatim.serve.changes import Result
from seriatim.serve.metrics import Metrics
from seriatim.serve.models import Models
from seriatim.serve.operations import Operation
from seriatim.serve.options import ServeOptions
from seriatim.serve.refusals import Refusal
from seriatim.serve.sessions import Sessions
from seriatim.serve.store import SessionStore

WORKERS: Final = 2
"""Threads for predictions and texts. Steps have a thread of their own."""
LONGEST_QUEUE: Final = 64

T = TypeVar("T")


@final
class Service:
    """Models, sessions and the threads that work for the routes."""

    def __init__(self, models: Models, store: SessionStore, options: ServeOptions) -> None:
        self.models, self.store, self.options = models, store, options
        self.metrics = Metrics()
        self.sessions = Sessions(
            models, store, max_sessions=options.max_sessions, max_in_memory=options.max_in_memory, idle=options.idle
        )
        self.batcher = Batcher(self.sessions, self.metrics, sweep_every=min(max(options.idle / 20, 0.5), 3600.0))
        self._pool = ThreadPoolExecutor(WORKERS, "seriatim-work")
        self._working = 0

    def start(self) -> None:
        """Begin to work for the running event loop."""
        self.batcher.start()

    async def stop(self) -> None:
        """Finish what was begun, and release the store."""
        await self.batcher.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.store.close()

    async def ask(self, operation: Operation) -> Result:
        """Carry out an operation on a session. Raises ``Refusal``."""
        return await self.within_time(self.batcher.submit(operation))

    async def work(self, function: Callable[[], T]) -> T:
        """Run a function in a thread. Raises ``Refusal`` if too many wait, or if it takes too long."""
        if self._working >= LONGEST_QUEUE:
            raise Refusal(503, "overloaded", f"{LONGEST_QUEUE} requests wait", retry_after=1)
        self._working += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, function)
        future.add_done_callback(self._worked)
        return await self.within_time(future)

    async def within_time(self, future: asyncio.Future[T]) -> T:
        """Wait for ``future``, but not longer than a request may take. Raises ``Refusal``."""
        try:
            return await asyncio.wait_for(future, self.options.timeout)
        except asyncio.TimeoutError:
            raise Refusal(504, "timeout", f"not done in {self.options.timeout:g} s", retry_after=1) from None

    def _worked(self, future: asyncio.Future[Any]) -> None:
        self._working -= 1
        if not future.cancelled():
            future.exception()  # it has been raised to the client, or nobody waits for it
