"""The cost of a training step as a function of the steps T and the batch B: a table and a picture.

    python benchmarks/growth.py --threads 2 --json growth.json --plot docs/growth.png
    python benchmarks/growth.py --show growth.json --plot docs/growth.png      draws earlier figures

T or B varies around (T, B, I, H) = (128, 32, 128, 128). The exponent is the slope of log time over log size in the
upper half of the sizes, by least squares. An exponent of 1 means linear growth; below 1, larger sizes share a fixed
cost.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _report import Report, Row, duration, markdown, read, spread

from seriatim.bench.layer_timing import Workload, implementation_name, measure

STEPS = (16, 32, 64, 128, 256, 512, 1024, 2048)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
T, B, H = 128, 32, 128


def main() -> None:
    """Measure, print and draw."""
    options = arguments()
    if options.show:
        rows = read(options.show)
    else:
        report = Report(("cell", "axis", "size", "threads"), options.json)
        for row in measure_all(options):
            report.add(row)
            print(f"{row['cell']:<5}{row['axis']} = {row['size']:<5} {spread(row['seriatim'], duration)} against "
                  f"{spread(row['torch'], duration)}", flush=True)  # fmt: skip
        rows = report.rows
    print("\n" + table(rows))
    if options.plot:
        draw(rows, options.plot)


def measure_all(options: argparse.Namespace) -> Iterator[Row]:
    """Measure every cell, axis and size."""
    for cell in options.cells:
        for axis, sizes in (("T", options.steps), ("B", options.rows)):
            for size in sizes:
                work = Workload(cell, size if axis == "T" else T, size if axis == "B" else B, H, H)
                timing = measure(work, threads=options.threads, seconds=options.seconds, min_rounds=5)
                row = {
                    "cell": cell,
                    "axis": axis,
                    "size": size,
                    "threads": options.threads,
                    "runs_on": implementation_name(work),
                }
                yield row | {"seriatim": timing.seriatim.to_json(), "torch": timing.torch.to_json()}


def series(rows: list[Row], cell: str, axis: str, side: str) -> tuple[list[int], list[float]]:
    """Sizes in rising order, and median seconds."""
    points = sorted((row["size"], row[side]["median"]) for row in rows if (row["cell"], row["axis"]) == (cell, axis))
    return [size for size, _ in points], [seconds for _, seconds in points]


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """The slope of log time over log size in the upper half of the sizes."""
    half = len(sizes) // 2
    slope, _ = np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)
    return float(slope)


def table(rows: list[Row]) -> str:
    """Times and exponents in Markdown."""
    lines = []
    for cell in dict.fromkeys(row["cell"] for row in rows):
        for axis in ("T", "B"):
            for side in ("seriatim", "torch"):
                sizes, seconds = series(rows, cell, axis, side)
                if len(sizes) < 4:
                    continue
                times = ", ".join(f"{size}: {duration(time)}" for size, time in zip(sizes, seconds, strict=True))
                lines.append([cell, axis, side, times, f"{exponent(sizes, seconds):.2f}"])
    return markdown(["cell", "axis", "side", "time of a training step", "exponent"], lines)


def draw(rows: list[Row], file: Path) -> None:
    """Draw time over size, one panel for each axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    fixed = {"T": f"B = {B}, I = H = {H}", "B": f"T = {T}, I = H = {H}"}
    colours = {"rnn": "C2", "lstm": "C0", "gru": "C1"}
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    for panel, (axis, name) in zip(panels, (("T", "steps T"), ("B", "rows B")), strict=True):
        lowest: list[tuple[float, int]] = []
        for cell in cells:
            for side, style in (("seriatim", "o-"), ("torch", "s--")):
                sizes, seconds = series(rows, cell, axis, side)
                label = f"{cell.upper()}, {'Seriatim' if side == 'seriatim' else 'torch.nn'}"
                panel.loglog(sizes, np.array(seconds) * 1e3, style, color=colours[cell], label=label,
                             markersize=4, markerfacecolor="white" if side == "torch" else None)  # fmt: skip
                lowest.append((seconds[-1] * 1e3, sizes[-1]))
        height, last = min(lowest)
        guide = np.array([sizes[len(sizes) // 2], last])
        panel.loglog(guide, 0.5 * height * guide / last, ":", color="grey", label="linear")
        panel.set_xscale("log", base=2)
        panel.set_xticks(sizes, [str(size) for size in sizes])
        panel.yaxis.set_major_formatter("{x:g}")
        panel.set_xlabel(f"{name}  ({fixed[axis]})")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("training step, ms")
    panels[0].legend(fontsize=8)
    threads = rows[0]["threads"]
    figure.suptitle(f"Cost of a training step, float32, {threads} thread{'s' * (threads > 1)}", fontsize=11)
    figure.savefig(file, dpi=150)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru"], choices=("rnn", "lstm", "gru"))
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS)
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="approximate time for each size, both sides")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here; other rows in the file stay")
    parser.add_argument("--show", type=Path, metavar="FILE", help="read the figures from here and measure nothing")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture, for example docs/growth.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()
