"""Benchmark figures: printed as they are measured, collected in a JSON file, and averaged at the end."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seriatim.bench.paired_timing import geometric_mean

Row = dict[str, Any]


@dataclass
class Report:
    """Rows with the same keys. The keys of ``identity`` say what was measured.

    With a ``file``, each row is written there as soon as it is measured. It replaces an older row of the same identity,
    so that a long table can be measured in parts.
    """

    identity: Sequence[str]
    file: Path | None = None
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Add a row, and write it to the file."""
        self.rows.append(row)
        if self.file:
            old_rows = read(self.file) if self.file.exists() else []
            others = [old for old in old_rows if self._key(old) != self._key(row)]
            content = {"processor": processor(), "rows": [*others, row]}
            self.file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _key(self, row: Row) -> tuple[str, ...]:
        return tuple(str(row.get(name)) for name in self.identity)


def read(file: Path) -> list[Row]:
    """The rows that a report has written to ``file``."""
    rows: list[Row] = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return rows


def means(rows: Sequence[Row], by: Sequence[str], value: Callable[[Row], float]) -> dict[tuple[Any, ...], float]:
    """The geometric mean of ``value`` over the rows that agree in ``by``."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(value(row))
    return {key: geometric_mean(values) for key, values in groups.items()}


def duration(seconds: float) -> str:
    """Seconds as text in a suitable unit: 2.31 s, 41.2 ms, 870 µs, 2570 ns."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def spread(figure: Mapping[str, float], show: Callable[[float], str]) -> str:
    """A median with its quartiles as text: 1.43 [1.38 1.50]."""
    return f"{show(figure['median'])} [{show(figure['low'])} {show(figure['high'])}]"


def ratio(figure: Mapping[str, float]) -> str:
    """A ratio with its quartiles as text, with a mark if it is below 1."""
    return spread(figure, lambda value: f"{value:.2f}") + (" <1 !" if figure["median"] < 1.0 else "")


def processor() -> str:
    """The name of the processor."""
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
