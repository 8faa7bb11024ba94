"""Counters and histograms in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, final

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS: Final = ("GET", "POST", "PUT", "DELETE", "WEBSOCKET")
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@final
class Histogram:
    """Counts values up to each bound. Adding is safe from one thread; a reader may see the newest value in part."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        self.name, self.help, self._bounds = name, help, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        """Count ``value``."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def lines(self) -> Iterable[str]:
        """Yield the lines of the text format."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} histogram"
        counts, below = list(self._counts), 0
        for bound, count in zip(self._bounds, counts, strict=False):
            below += count
            yield f'{self.name}_bucket{{le="{bound:g}"}} {below}'
        yield f'{self.name}_bucket{{le="+Inf"}} {sum(counts)}'
        yield f"{self.name}_sum {self._total:.9g}"
        yield f"{self.name}_count {sum(counts)}"


@final
class Metrics:
    """The histograms of a server. Counters and gauges are read from their owners when the text is written."""

    def __init__(self) -> None:
        self.latency = Histogram("seriatim_step_seconds", "Time from arrival to acknowledgement of a step.", SECONDS)
        self.queue = Histogram("seriatim_queue_seconds", "Time that an operation waited for its batch.", SECONDS)
        self.batch = Histogram("seriatim_batch_size", "Operations in a batch.", SIZES)
        self.requests: dict[tuple[str, int], int] = {}

    def count_request(self, method: str, status: int) -> None:
        """Count an answered HTTP request."""
        key = method if method in METHODS else "other", status
        self.requests[key] = self.requests.get(key, 0) + 1

    def text(self, counters: Mapping[str, tuple[str, float]], gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return everything in the text format. Both mappings have a help text and a value for each name."""
        lines: list[str] = []
        for type_, values in (("counter", counters), ("gauge", gauges)):
            for name, (help, value) in values.items():
                lines += [f"# HELP {name} {help}", f"# TYPE {name} {type_}", f"{name} {value:.15g}"]
        lines += ["# HELP seriatim_requests_total HTTP requests by method and status."]
        lines += ["# TYPE seriatim_requests_total counter"]
        lines += [
            f'seriatim_requests_total{{method="{method}",status="{status}"}} {count}'
            for (method, status), count in sorted(self.requests.items())
        ]
        for histogram in (self.latency, self.queue, self.batch):
            lines += histogram.lines()
        return "\n".join(lines) + "\n"
