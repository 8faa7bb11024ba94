"""Models, stores and sessions for the tests of the server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from seriatim.runtime import Model, load
from seriatim.serve.models import Models
from seriatim.serve.options import ServeOptions
from seriatim.serve.server import address_of, make_server, open_store
from seriatim.serve.service import Service
from seriatim.serve.sessions import Sessions
from seriatim.serve.sqlite_store import SqliteStore
from seriatim.serve.store import SessionStore

GOLDEN = Path(__file__).parents[1] / "golden" / "0.1.0"
LANGUAGE = GOLDEN / "language-lstm"
"""An exported language model in characters."""


@pytest.fixture(scope="session")
def language_model() -> Model:
    return load(LANGUAGE)


@pytest.fixture
def language_models() -> Models:
    return Models(lambda: load(LANGUAGE))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "sessions.db")
    yield opened
    opened.close()


@pytest.fixture
def sessions(language_models: Models, store: SessionStore) -> Sessions:
    return Sessions(language_models, store)


class RedisServer:
    """A Redis server on a free port of this machine, with its files in ``folder``."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder, self.settings = folder, settings
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
             *self.settings],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(16).startswith(b"+PONG"):
                        return
            time.sleep(0.05)
        raise TimeoutError("redis-server did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


EVERY_WRITE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """A function that starts Redis with the given settings, by default those that keep every write."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    pytest.importorskip("redis")
    started: list[RedisServer] = []

    def start(*settings: str) -> RedisServer:
        folder = tmp_path / f"redis-{len(started)}"
        folder.mkdir()
        server = RedisServer(folder, *(settings or EVERY_WRITE))
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


class RunningServer:
    """A server in a thread of this process."""

    def __init__(self, load: Callable[[], Model], options: ServeOptions, state: Path) -> None:
        self.models = Models(load)
        self.service = Service(self.models, open_store(options, state), options)
        self.server = make_server(self.service)
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()
        while not self.server.started and self._thread.is_alive():
            time.sleep(0.005)
        self.url = address_of(self.server)
        self.host = self.url.removeprefix("http://")

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, headers=headers, trust_env=False)

    def socket(self, **headers: str) -> Any:
        """A WebSocket for sessions."""
        from websockets.sync.client import connect

        return connect(f"ws://{self.host}/v1/sessions", additional_headers=headers, max_size=None, proxy=None)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """A function that starts a server of a golden export, with options of ``ServeOptions``."""
    started: list[RunningServer] = []

    def start(name: str = LANGUAGE.name, **options: Any) -> RunningServer:
        model = load(GOLDEN / name)
        server = RunningServer(lambda: model, ServeOptions(port=0, **options), tmp_path / f"{len(started)}.db")
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of the language model for tests that use sessions of their own."""
    folder = tmp_path_factory.mktemp("server")
    server = RunningServer(lambda: load(LANGUAGE), ServeOptions(port=0), folder / "sessions.db")
    yield server
    server.stop()
