"""Starts and stops the server."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from seriatim.errors import RunError, SeriatimError
from seriatim.runtime import Model
from seriatim.serve.app import make_app
from seriatim.serve.models import Models
from seriatim.serve.options import ServeOptions
from seriatim.serve.service import Service
from seriatim.serve.sqlite_store import SqliteStore
from seriatim.serve.store import SessionStore

LOG: Final = logging.getLogger("seriatim.serve")
GRACE: Final = 20
"""Seconds in which open requests may end after SIGTERM or Ctrl-C."""


def open_store(options: ServeOptions, default: Path) -> SessionStore:
    """Open the store that the options name; ``default`` is the file without ``--state``. Raises ``RunError``."""
    if options.is_redis:
        from seriatim.serve.redis_store import RedisStore

        return RedisStore(str(options.state))
    return SqliteStore(Path(options.state) if options.state else default, options.durability)


def serve(load: Callable[[], Model], options: ServeOptions, default_state: Path, ready: Callable[[str], None]) -> None:
    """Serve a model until SIGTERM or Ctrl-C; SIGHUP calls ``load`` again. ``ready`` receives the address.

    Raises ``SeriatimError`` if the server cannot begin.
    """
    options.check()
    models = Models(load)
    with bind(options) as bound, closing(open_store(options, default_state)) as store:
        server = make_server(Service(models, store, options))
        asyncio.run(_serve(server, bound, models, ready))
    if server.was_interrupted:
        raise KeyboardInterrupt


class WebServer(uvicorn.Server):
    """Uvicorn's server, whose orderly end after a signal is no failure: Uvicorn would raise the signal once more."""

    was_interrupted = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and Ctrl-C, while the block runs in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.was_interrupted = number == signal.SIGINT
        self.handle_exit(number, frame)


def make_server(service: Service) -> WebServer:
    """Return the web server of ``service``."""
    options = service.options
    config = uvicorn.Config(
        make_app(service), options.host, options.port, log_level="warning", access_log=False, server_header=False,
        ws="websockets-sansio", ws_max_size=options.max_body, ws_per_message_deflate=False,
        limit_concurrency=options.max_connections, timeout_keep_alive=30, timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    return WebServer(config)


def bind(options: ServeOptions) -> socket.socket:
    """Return a socket at the address of the options. Raises ``RunError`` if that cannot be used."""
    bound: socket.socket | None = None
    try:
        family, type_, protocol, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, type_, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()
    except OSError as error:
        if bound is not None:
            bound.close()
        raise RunError(f"port: {options.port} of {options.host} cannot be used ({error.strerror})") from None
    return bound


def address_of(server: uvicorn.Server) -> str:
    """Return the address at which a started server listens."""
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _serve(server: WebServer, bound: socket.socket, models: Models, ready: Callable[[str], None]) -> None:
    task = asyncio.create_task(server.serve([bound]))
    reloads: set[asyncio.Task[None]] = set()
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    if server.started:
        with suppress(NotImplementedError, AttributeError):  # a system without SIGHUP
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGHUP, lambda: reloads.add(asyncio.create_task(_reload(models)))
            )
        ready(address_of(server))
    await task


async def _reload(models: Models) -> None:
    try:
        is_other = await asyncio.to_thread(models.reload)
    except SeriatimError as error:
        LOG.error("the model was not read again: %s", error)
        return
    kept = "another one; the sessions of the old one end on it" if is_other else "the same; its sessions stay"
    LOG.warning("the model was read again: it is %s", kept)
