"""Servers of a small model as processes of their own, for benchmarks of the server."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import seriatim

LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'-\n\"()"


def small_model(folder: Path, hidden: int) -> Path:
    """Train a language model of ``hidden`` units and about 65 characters for a moment, and export it."""
    draw = np.random.default_rng(0)
    text = "".join(draw.choice(list(LETTERS), 4000))
    run = seriatim.train(
        "language", [text], model="gru", hidden=hidden, epochs=1, baselines="none", quiet=True, out=str(folder / "run")
    )
    run.export(folder / "exported")
    return folder / "exported"


def free_port() -> int:
    """A port that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """``seriatim serve`` on a fixed port of this machine."""

    def __init__(self, model: Path, *options: str) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", "seriatim", "serve", str(model), "--port", str(self.port), *options]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, env=environment)
        wait_for(self.port, self.process)

    def kill(self) -> None:
        """End the server as ``kill -9`` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Let the server finish."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)


class RedisProcess:
    """A Redis server that keeps every write, with its file in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._command = [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always",
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start Redis, and wait until it listens."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError("redis-server did not start")

    def kill(self) -> None:
        """End Redis as ``kill -9`` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server on ``port`` is alive."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if request(port, "GET", "/healthz")[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with code {process.returncode}") from None
        time.sleep(0.02)
    raise TimeoutError("the server did not start")


def request(port: int, method: str, path: str, body: Any = None, seconds: float = 30.0) -> tuple[int, bytes]:
    """Send one request on a connection of its own; return the status and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def resident(pids: Sequence[int]) -> int:
    """The memory of processes in bytes."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")
