"""Draw the picture of the engine: the layout of weights, a tile, and two threads that share a step.

python docs/engine.py docs/engine.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

GATES = {"i": "#c6dbef", "f": "#fdd0a2", "g": "#c7e9c0", "o": "#dadaeb"}
INK = "#222222"


def main(picture: Path) -> None:
    """Three panels: layout, tile, threads."""
    figure, (layout, tile, threads) = pyplot.subplots(
        1, 3, figsize=(13, 4.6), layout="constrained", width_ratios=(1.25, 1.2, 1)
    )
    draw_layout(layout)
    draw_tile(tile)
    draw_threads(threads)
    for axes in (layout, tile, threads):
        axes.set_aspect("equal")
        axes.axis("off")
    figure.savefig(picture, dpi=130)


def box(axes: Axes, x: float, y: float, wide: float, high: float, colour: str, text: str = "", size: float = 9) -> None:
    axes.add_patch(Rectangle((x, y), wide, high, facecolor=colour, edgecolor=INK, lw=0.7))
    if text:
        axes.text(x + wide / 2, y + high / 2, text, ha="center", va="center", fontsize=size, color=INK)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=INK, lw=1.0))


def draw_layout(axes: Axes) -> None:
    """PyTorch's weights [4·H, K] and the panels [block][k][gate][16] that are made of them."""
    axes.set_title("Weights: PyTorch's rows become panels", fontsize=11)
    for place, (gate, colour) in enumerate(GATES.items()):
        box(axes, 0, 6 - 2 * place, 3.2, 2, colour, f"gate {gate}\nH rows", 8)
    axes.text(1.6, -0.5, "W [4·H, K]", ha="center", fontsize=9)
    for place in range(4):
        axes.add_patch(Rectangle((0, 7.6 - 2 * place), 3.2, 0.4, facecolor="none", edgecolor="#c0392b", lw=1.4))
    arrow(axes, (3.4, 4), (4.8, 4))
    for row in range(4):
        for column, (gate, colour) in enumerate(GATES.items()):
            text = f"{gate}₀…{gate}₁₅" if row < 3 else "⋮"
            box(axes, 5 + 1.7 * column, 6.4 - 1.0 * row, 1.7, 1.0, colour, text, 7.5)
        axes.text(11.95, 6.9 - row, f"k = {row}" if row < 3 else "", fontsize=8, va="center")
    axes.add_patch(Rectangle((5, 3.4), 6.8, 4.0, facecolor="none", edgecolor="#c0392b", lw=1.6))
    box(axes, 5, 1.9, 6.8, 1.2, "#f2f2f2", "units 16 … 31", 8)
    box(axes, 5, 0.5, 6.8, 1.2, "#f2f2f2", "units 32 … 47  …", 8)
    axes.text(8.4, -0.5, "one panel for every 16 units", ha="center", fontsize=9)
    axes.set_xlim(-0.3, 13.4)
    axes.set_ylim(-1.2, 8.6)


def draw_tile(axes: Axes) -> None:
    """Six rows of h times a panel give 24 vectors of sums in registers."""
    axes.set_title("A tile: 6 rows × 4 vectors stay in registers", fontsize=11)
    for row in range(6):
        box(axes, 0, 5.5 - 0.75 * row, 3.4, 0.75, "#f7f7f7", f"h of row {row}" if row < 5 else "…", 7.5)
    axes.text(1.7, 6.6, "K →", ha="center", fontsize=9)
    axes.text(3.85, 3.9, "×", fontsize=14, ha="center", va="center")
    for column, (gate, colour) in enumerate(GATES.items()):
        box(axes, 4.3 + 0.8 * column, 1.75, 0.8, 4.5, colour, gate)
    axes.text(5.9, 6.6, "panel", ha="center", fontsize=9)
    axes.text(7.85, 3.9, "=", fontsize=14, ha="center", va="center")
    for row in range(6):
        for column, colour in enumerate(GATES.values()):
            box(axes, 8.2 + 0.8 * column, 5.5 - 0.75 * row, 0.8, 0.75, colour)
    axes.text(9.8, 6.6, "24 vectors of 16 sums", ha="center", fontsize=9)
    arrow(axes, (9.8, 1.6), (9.8, 0.75))
    axes.text(9.8, 0.3, "σ, tanh  →  c, h, gates", ha="center", va="center", fontsize=9)
    caption = "the cell's equations are\napplied to one tile"
    axes.text(3.6, 0.3, caption, ha="center", va="center", fontsize=8.5, color="#555555")
    axes.set_xlim(-0.3, 11.8)
    axes.set_ylim(-1.2, 8.0)


def draw_threads(axes: Axes) -> None:
    """A step that is split by rows, and a step that is split by units."""
    axes.set_title("Two threads: by rows, or by units", fontsize=11)
    blue, orange = "#9ecae1", "#fdae6b"
    for step in range(3):
        x = 2.6 * step
        box(axes, x, 5.6, 2.0, 0.9, blue, "rows 0–15", 7)
        box(axes, x, 4.7, 2.0, 0.9, orange, "rows 16–31", 7)
        box(axes, x, 0.9, 1.0, 1.8, blue, "units\n0–\n327", 6.5)
        box(axes, x + 1.0, 0.9, 1.0, 1.8, orange, "units\n328–\n649", 6.5)
        axes.plot([x + 2.3, x + 2.3], [0.6, 3.0], color="#c0392b", lw=2)
        axes.text(x + 1.0, 6.8, f"t = {step}", ha="center", fontsize=8)
    axes.text(3.7, 4.1, "weights fit a core's cache: no thread waits", ha="center", fontsize=8.5)
    caption = "they do not fit: each core reads its half,\na barrier (red) ends each step"
    axes.text(3.7, 0.1, caption, ha="center", va="center", fontsize=8.5)
    axes.set_xlim(-0.3, 8.2)
    axes.set_ylim(-1.2, 8.0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
