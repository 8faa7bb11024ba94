"""Steps per second and latency of the server, for 1 to 10,000 live sessions, and memory for each session.

    python benchmarks/load.py --sessions 1 10 100 1000 10000 --json load.json --plot docs/load.png

The server (one process, SQLite, ``--durability full``) and the clients (one process) share this machine's cores. Every
session always has one step on its way: its next step is sent when the last one is acknowledged. The steps of up to 50
sessions share a WebSocket and a frame. Latency is from the sending of a frame to its answer, so with many sessions it
is mostly the time in the queue (sessions ÷ steps per second). Memory is the growth of the server for each session.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _report import Report, duration, markdown
from _served import ServerProcess, resident, small_model
from websockets.asyncio.client import connect

PER_FRAME = 50
"""Sessions that share a connection."""


class Connection:
    """A WebSocket with the sessions whose steps it sends together."""

    def __init__(self, number: int, count: int) -> None:
        self.names = [f"s{number}-{index}" for index in range(count)]
        self._draw = random.Random(number)
        self.seq = 0
        self.latencies: list[float] = []
        self.is_ready = asyncio.Event()

    async def run(self, port: int, start: asyncio.Event, stop: asyncio.Event) -> None:
        """Create the sessions, wait for ``start``, and take steps until ``stop``."""
        async with connect(f"ws://127.0.0.1:{port}/v1/sessions", max_size=None, compression=None, proxy=None) as socket:
            await self._ask(socket, [{"op": "create", "id": name, "seed": 0} for name in self.names])
            await self._step(socket)
            self.is_ready.set()
            await start.wait()
            while not stop.is_set():
                began = time.perf_counter()
                await self._step(socket)
                self.latencies.append(time.perf_counter() - began)

    async def _step(self, socket: Any) -> None:
        self.seq += 1
        frames = [
            {"op": "step", "session": name, "seq": self.seq, "x": self._draw.randrange(1, 60), "top": 3}
            for name in self.names
        ]
        await self._ask(socket, frames)

    async def _ask(self, socket: Any, frames: Sequence[Any]) -> None:
        await socket.send(json.dumps(frames))
        answers = json.loads(await socket.recv())
        faults = [answer for answer in answers if "error" in answer]
        if faults:
            raise AssertionError(f"refused: {faults[0]}")


async def measure(port: int, pid: int, sessions: int, seconds: float) -> dict[str, Any]:
    """Steps per second, quantiles of the latency, and memory for each session."""
    before = resident([pid])
    count = (sessions + PER_FRAME - 1) // PER_FRAME
    connections = [Connection(i, min(PER_FRAME, sessions - i * PER_FRAME)) for i in range(count)]
    start, stop = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(connection.run(port, start, stop)) for connection in connections]
    ready = asyncio.gather(*(connection.is_ready.wait() for connection in connections))
    await asyncio.wait([ready, *tasks], return_when=asyncio.FIRST_COMPLETED)  # a task ends only by an error
    ready.cancel()
    memory = resident([pid]) - before
    begun = [connection.seq for connection in connections]
    start.set()
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*tasks)
    elapsed = time.perf_counter() - began
    steps = sum((c.seq - first) * len(c.names) for c, first in zip(connections, begun, strict=True))
    latencies = sorted(latency for connection in connections for latency in connection.latencies)
    return {
        "steps_per_second": steps / elapsed,
        "median": latencies[len(latencies) // 2],
        "p99": latencies[min(len(latencies) - 1, int(0.99 * len(latencies)))],
        "bytes_per_session": memory / sessions,
        "steps": steps,
    }


def draw(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw steps per second and latency against sessions."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for durability in sorted({row["durability"] for row in rows}):
        chosen = sorted((row for row in rows if row["durability"] == durability), key=lambda row: row["sessions"])
        sessions = [row["sessions"] for row in chosen]
        left.loglog(sessions, [row["steps_per_second"] for row in chosen], "o-", label=durability)
        (line,) = right.loglog(sessions, [1e3 * row["median"] for row in chosen], "o-", label=f"{durability}: median")
        right.loglog(sessions, [1e3 * row["p99"] for row in chosen], "o--", color=line.get_color(), label="99 %")
    left.set(xlabel="live sessions", ylabel="durable steps per second")
    right.set(xlabel="live sessions", ylabel="latency, ms")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", nargs="+", type=int, default=[1, 10, 100, 1000, 10_000])
    parser.add_argument("--durability", nargs="+", choices=("full", "normal", "memory"), default=["full"])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path, help="file to which the figures are added")
    parser.add_argument("--plot", type=Path, help="file for a plot")
    options = parser.parse_args()
    report = Report(("durability", "sessions", "hidden"), options.json)
    with tempfile.TemporaryDirectory() as temporary:
        model = small_model(Path(temporary), options.hidden)
        for durability in options.durability:
            for sessions in options.sessions:
                state = Path(temporary) / f"{durability}-{sessions}.db"
                server = ServerProcess(model, "--state", str(state), "--durability", durability)
                server.start()
                assert server.process is not None
                try:
                    row = asyncio.run(measure(server.port, server.process.pid, sessions, options.seconds))
                finally:
                    server.stop()
                report.add({"durability": durability, "sessions": sessions, "hidden": options.hidden, **row})
    table = [
        [
            row["durability"], f"{row['sessions']:,}", f"{row['steps_per_second']:,.0f}", duration(row["median"]),
            duration(row["p99"]), f"{row['bytes_per_session'] / 1000:.1f} kB",
        ]
        for row in report.rows
    ]  # fmt: skip
    print(markdown(["durability", "sessions", "steps per second", "median", "99 %", "memory a session"], table))
    if options.plot:
        draw(report.rows, options.plot)


if __name__ == "__main__":
    main()
