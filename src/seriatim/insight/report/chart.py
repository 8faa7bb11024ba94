"""Line charts and bars as SVG, drawn with the page's own colours, so that they follow its light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 640, 290
LEFT, RIGHT, TOP, BOTTOM = 84, 26, 14, 56


@dataclass(frozen=True)
class Line:
    """One curve with its name, and a band around it if there is one."""

    name: str
    points: Points
    low: Points = ()
    high: Points = ()


@dataclass(frozen=True)
class Axis:
    """One axis: its title, and whether it is logarithmic."""

    title: str
    is_log: bool = False

    def place(self, value: float) -> float:
        """The value as a length; on a logarithmic axis zero is far below."""
        return math.log10(max(value, 1e-12)) if self.is_log else value


def chart(x: Axis, y: Axis, lines: Sequence[Line], markers: Sequence[tuple[float, str]] = (), title: str = "") -> str:
    """Draw curves; ``markers`` are vertical lines with a name. Returns an ``<svg>`` element.

    >>> chart(Axis("lag"), Axis("bits"), [Line("data", [(1, 2), (2, 1)])]).startswith("<svg")
    True
    """
    lines = [_drawable(line, x, y) for line in lines]
    all_points = [point for line in lines for point in (*line.points, *line.low, *line.high)]
    if not all_points:
        return f'<p class="empty">{escape(title)}: nothing to draw</p>'
    across = _Scale(
        [x.place(value) for value, _ in all_points] + [x.place(at) for at, _ in markers if at > 0], LEFT, WIDTH - RIGHT
    )
    up = _Scale([y.place(value) for _, value in all_points], HEIGHT - BOTTOM, TOP, margin=0.05)

    def at(point: tuple[float, float]) -> str:
        return f"{across(x.place(point[0])):.1f},{up(y.place(point[1])):.1f}"

    parts = [_ticks(x, across, is_x=True), _ticks(y, up, is_x=False)]
    for number, line in enumerate(lines):
        if line.low and line.high:
            outline = " ".join(map(at, (*line.low, *reversed(line.high))))
            parts.append(f'<polygon class="band c{number}" points="{outline}"/>')
        parts.append(f'<polyline class="line c{number}" points="{" ".join(map(at, line.points))}"/>')
    for place, name in markers:
        if place > 0:
            left = across(x.place(place))
            anchor = "end" if left > WIDTH * 0.7 else "start"
            shift = -4 if anchor == "end" else 4
            parts.append(f'<line class="marker" x1="{left:.1f}" x2="{left:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            parts.append(
                f'<text class="note" x="{left + shift:.1f}" y="{TOP + 10}" text-anchor="{anchor}">{escape(name)}</text>'
            )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.title)}</text>'
    )
    turned = f"translate(16 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)"
    parts.append(f'<text transform="{turned}" text-anchor="middle">{escape(y.title)}</text>')
    legend = "".join(
        f'<li><span class="key c{number}"></span>{escape(line.name)}</li>' for number, line in enumerate(lines)
    )
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    return svg if len(lines) == 1 and not lines[0].name else f'{svg}<ul class="legend">{legend}</ul>'


def bars(rows: Sequence[tuple[str, float, str]], markers: Sequence[tuple[float, str]] = (), unit: str = "steps") -> str:
    """Draw named lengths (name, length, caption) on one logarithmic axis, with vertical lines ``markers``."""
    lengths = [length for _, length, _ in rows if length > 0] + [place for place, _ in markers if place > 0]
    if not lengths:
        return ""
    axis, left, right, height = Axis(unit, is_log=True), 118, WIDTH - 196, 30 * len(rows) + 84
    scale = _Scale([0.0, axis.place(max(lengths)) * 1.02 + 0.01], left, right)
    bottom = height - 44
    parts = []
    for value in _powers(1, max(lengths)):
        place = scale(axis.place(value))
        parts.append(f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="32" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{place:.1f}" y="{bottom + 15}" text-anchor="middle">{value:g}</text>')
    for number, (name, length, _) in enumerate(rows):
        top = 38 + 30 * number
        end = scale(axis.place(max(length, 1.0)))
        parts.append(f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect class="bar c{number}" x="{left}" y="{top}" width="{max(end - left, 2):.1f}" height="18" rx="3"/>'
        )
    for place, name in markers:
        x = scale(axis.place(place))
        parts.append(f'<line class="marker" x1="{x:.1f}" x2="{x:.1f}" y1="30" y2="{bottom}"/>')
        parts.append(f'<text class="note" x="{x:.1f}" y="22" text-anchor="middle">{escape(name)}</text>')
    for number, (_, length, caption) in enumerate(rows):  # last, so that no line goes through them
        end = scale(axis.place(max(length, 1.0)))
        parts.append(f'<text class="note" x="{end + 6:.1f}" y="{52 + 30 * number}">{escape(caption)}</text>')
    parts.append(f'<text x="{(left + right) / 2:.0f}" y="{height - 6}" text-anchor="middle">{escape(unit)}</text>')
    return (
        f'<svg class="horizons" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="horizons in steps">'
        f"{''.join(parts)}</svg>"
    )


class _Scale:
    """A linear map from values to places in the drawing."""

    def __init__(self, values: Sequence[float], start: float, stop: float, margin: float = 0.0) -> None:
        low, high = min(values), max(values)
        spread = (high - low) or max(abs(high), 1.0)
        self.low, self.high = low - margin * spread, high + margin * spread
        if self.low == self.high:
            self.high += 1.0
        self._start, self._stop = start, stop

    def __call__(self, value: float) -> float:
        return self._start + (value - self.low) / (self.high - self.low) * (self._stop - self._start)


def _drawable(line: Line, x: Axis, y: Axis) -> Line:
    """Leave out what an axis cannot show: numbers that are not finite, and zeros on a logarithmic one."""

    def drawable(points: Points) -> Points:
        return [
            (a, b) for a, b in points
            if math.isfinite(a) and math.isfinite(b) and not (x.is_log and a <= 0) and not (y.is_log and b <= 0)
        ]  # fmt: skip

    return Line(line.name, drawable(line.points), drawable(line.low), drawable(line.high))


def _powers(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(max(high, low * 10)))
    values = [10.0**power for power in range(first, last + 1)]
    return [value for value in values if low <= value * 1.0001 and value <= high * 1.0001] or values[:2]


def _steps(low: float, high: float) -> list[float]:
    """About five round numbers from ``low`` to ``high``."""
    rough = (high - low) / 5 or 1.0
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _label(value: float) -> str:
    """The number at a tick, in few signs: a wide one would cover the title of the axis.

    >>> [_label(value) for value in (0.001, 0.0001, 2.5, 12000, 250000)]
    ['0.001', '1e-4', '2.5', '12000', '2.5e5']
    """
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.5g}"
    digits, _, power = f"{value:.4g}".partition("e")
    if not power:
        digits, _, power = f"{value:.3e}".partition("e")
        digits = digits.rstrip("0").rstrip(".")
    return f"{digits}e{int(power)}"


def _ticks(axis: Axis, scale: _Scale, *, is_x: bool) -> str:
    if axis.is_log:
        powers = range(math.ceil(scale.low - 1e-9), math.floor(scale.high + 1e-9) + 1)
        labelled = list(powers)[:: max(len(powers) // 6, 1)]
        values = [(float(power), _label(10.0**power)) for power in labelled]
        if len(values) < 2:
            values = [(math.log10(v), f"{v:.3g}") for v in _steps(10**scale.low, 10**scale.high) if v > 0]
    else:
        values = [(value, _label(value)) for value in _steps(scale.low, scale.high)]
    parts = []
    for value, text in values:
        place = scale(value)
        if is_x:
            parts.append(f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            parts.append(
                f'<text class="tick" x="{place:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{text}</text>'
            )
        else:
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place:.1f}" y2="{place:.1f}"/>')
            parts.append(f'<text class="tick" x="{LEFT - 6}" y="{place + 5:.1f}" text-anchor="end">{text}</text>')
    return "".join(parts)
