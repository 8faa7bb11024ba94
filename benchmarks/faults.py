"""Faults of the server under load: is an acknowledged step lost, taken twice, or changed?

    python benchmarks/faults.py --scenarios kill replicas disk --faults 200 --json faults.json

Clients take steps in sessions of their own and send a step again until it is acknowledged; some repeat a step that was
acknowledged, and some vanish before they read the answer. Each answer must equal that of a stream that is never
interrupted, in this process, and so must the state of each session at the end.

- ``kill``: the server (SQLite) is killed with ``kill -9`` at random moments.
- ``replicas``: each step goes to one of two servers at random, which share Redis. At random moments Redis or a server
  is killed.
- ``disk``: at random moments the state file may not grow any more, as on a full disk (``RLIMIT_FSIZE``), and again may.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import resource
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _report import Report
from _served import RedisProcess, ServerProcess, request, small_model

from seriatim.runtime import Model, load
from seriatim.serve.answers import Answers

SESSIONS = 3
"""Sessions of one client."""
REPEATED, VANISHED = 0.1, 0.03
"""The shares of steps that are sent again after their answer, and whose client vanishes before it."""
PATIENCE = 120.0
"""Seconds after which a client gives up."""


class Client(threading.Thread):
    """Takes steps in its sessions until it is stopped, and checks every answer."""

    def __init__(self, number: int, model: Model, answers: Answers, ports: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self._draw = random.Random(number)
        self._ports = ports
        self._answers = answers
        self._names = [f"client-{number}-{index}" for index in range(SESSIONS)]
        self._seeds = [number * SESSIONS + index for index in range(SESSIONS)]
        self._streams = [model.stream(seed=seed) for seed in self._seeds]
        self._units = len(model.vocabulary)  # type: ignore[attr-defined]
        self._seq = [0] * SESSIONS
        self.is_stopping = threading.Event()
        self.steps = self.retries = self.repeated = self.vanished = 0
        self.failure = ""

    def run(self) -> None:
        try:
            for name, seed in zip(self._names, self._seeds, strict=True):
                self._create(name, seed)
            while not self.is_stopping.is_set():
                self._step(self._draw.randrange(SESSIONS))
            for index in range(SESSIONS):
                self._compare_state(index)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"

    def _create(self, name: str, seed: int) -> None:
        status, body = self._until_answered("POST", "/v1/sessions", {"id": name, "seed": seed})
        if status != 201 and b"session_exists" not in body:  # an earlier try was stored, but not acknowledged
            raise AssertionError(f"create: {status} {body!r}")

    def _step(self, index: int) -> None:
        name, stream = self._names[index], self._streams[index]
        self._seq[index] += 1
        content = {"seq": self._seq[index], "x": self._draw.randrange(1, self._units)}
        expected = self._answers.encode(name, content["seq"], stream, stream.step(content["x"]), 5, False)
        path = f"/v1/sessions/{name}/steps"
        if self._draw.random() < VANISHED:
            self._vanish(path, content)
        for _ in range(2 if self._draw.random() < REPEATED else 1):
            status, body = self._until_answered("POST", path, content)
            if status != 200 or json.loads(body) != json.loads(expected):
                raise AssertionError(f"{name} step {content['seq']}: {status} {body!r}, wanted {expected!r}")
            self.repeated += 1
        self.repeated -= 1
        self.steps += 1

    def _vanish(self, path: str, content: Any) -> None:
        """Send a request, and close the connection without reading the answer."""
        try:
            with socket.create_connection(("127.0.0.1", self._draw.choice(self._ports)), timeout=10) as connection:
                body = json.dumps(content)
                connection.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
                )
        except OSError:
            pass
        self.vanished += 1

    def _compare_state(self, index: int) -> None:
        status, body = self._until_answered("GET", f"/v1/sessions/{self._names[index]}/state", None)
        if status != 200 or body != self._streams[index].snapshot():
            raise AssertionError(f"{self._names[index]}: another state after step {self._seq[index]} ({status})")

    def _until_answered(self, method: str, path: str, content: Any) -> tuple[int, bytes]:
        """Send a request until it is answered by something other than "try again"."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                status, body = request(self._draw.choice(self._ports), method, path, content, 10.0)
                if status != 503:
                    return status, body
            except (OSError, http.client.HTTPException):
                pass
            self.retries += 1
            time.sleep(self._draw.uniform(0.005, 0.05))
        raise TimeoutError(f"{path}: no answer in {PATIENCE:g} s")


def run_clients(ports: Sequence[int], model: Path, count: int, faults: Callable[[], int]) -> dict[str, Any]:
    """Let clients work while ``faults`` runs, which returns the number of faults."""
    loaded = load(model)
    answers = Answers(loaded)
    clients = [Client(number, loaded, answers, ports) for number in range(count)]
    started = time.monotonic()
    for client in clients:
        client.start()
    try:
        done = faults()
    finally:
        for client in clients:
            client.is_stopping.set()
    for client in clients:
        client.join(2 * PATIENCE)
    failures = [client.failure or "does not end" for client in clients if client.failure or client.is_alive()]
    return {
        "faults": done, "clients": count, "sessions": count * SESSIONS,
        **{name: sum(getattr(c, name) for c in clients) for name in ("steps", "retries", "repeated", "vanished")},
        "seconds": round(time.monotonic() - started, 1), **({"failed": "; ".join(failures[:3])} if failures else {}),
    }  # fmt: skip


def kill(model: Path, folder: Path, count: int, clients: int, draw: random.Random) -> dict[str, Any]:
    """Kill the server again and again."""
    server = ServerProcess(model, "--state", str(folder / "sessions.db"), "--max-in-memory", str(clients))
    server.start()

    def faults() -> int:
        for number in range(count):
            time.sleep(draw.uniform(0.0, 0.5))
            server.kill()
            server.start()
            if (number + 1) % 20 == 0:
                print(f"  {number + 1} kills", flush=True)
        time.sleep(0.5)
        return count

    try:
        return run_clients([server.port], model, clients, faults)
    finally:
        server.stop()


def replicas(model: Path, folder: Path, count: int, clients: int, draw: random.Random) -> dict[str, Any]:
    """Move sessions between two servers at every step, while Redis and the servers are killed."""
    if shutil.which("redis-server") is None:
        return {"faults": 0, "skipped": "redis-server is not installed"}
    redis = RedisProcess(folder)
    redis.start()
    servers = [ServerProcess(model, "--state", f"redis://127.0.0.1:{redis.port}/0") for _ in range(2)]
    for server in servers:
        server.start()

    def faults() -> int:
        for number in range(count):
            time.sleep(draw.uniform(0.0, 0.7))
            victim = draw.choice([redis, redis, *servers])
            victim.kill()
            time.sleep(draw.uniform(0.0, 0.2))
            victim.start()
            if (number + 1) % 20 == 0:
                print(f"  {number + 1} kills", flush=True)
        time.sleep(0.5)
        return count

    try:
        return run_clients([server.port for server in servers], model, clients, faults)
    finally:
        for server in servers:
            server.stop()
        redis.kill()


def disk(model: Path, folder: Path, count: int, clients: int, draw: random.Random) -> dict[str, Any]:
    """Fill the disk and free it again."""
    server = ServerProcess(model, "--state", str(folder / "sessions.db"))
    server.start()
    assert server.process is not None
    pid, unlimited = server.process.pid, resource.RLIM_INFINITY

    def faults() -> int:
        for _ in range(count):
            time.sleep(draw.uniform(0.0, 0.3))
            largest = max(file.stat().st_size for file in folder.iterdir() if file.is_file())
            limit = draw.randrange(1, largest + 50_000)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, unlimited))
            time.sleep(draw.uniform(0.0, 0.3))
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        time.sleep(0.5)
        return count

    try:
        return run_clients([server.port], model, clients, faults)
    finally:
        server.stop()


SCENARIOS = {"kill": kill, "replicas": replicas, "disk": disk}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--faults", type=int, default=200, help="faults in each scenario")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to which the figures are written")
    options = parser.parse_args()
    report = Report(("scenario",), options.json)
    with tempfile.TemporaryDirectory() as temporary:
        model = small_model(Path(temporary), options.hidden)
        for name in options.scenarios:
            folder = Path(temporary) / name
            folder.mkdir()
            print(name, flush=True)
            row = SCENARIOS[name](model, folder, options.faults, options.clients, random.Random(options.seed))
            report.add({"scenario": name, **row})
            print(f"  {row}", flush=True)
    failed = [row["scenario"] for row in report.rows if "failed" in row]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
