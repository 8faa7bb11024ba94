"""The adding problem (Hochreiter & Schmidhuber 1997): two of many numbers are marked, and the target is their sum.

    python recipes/adding.py FILE COUNT STEPS SEED

writes COUNT sequences of STEPS steps as a ``.ts`` file. The first channel has random numbers between 0 and 1, in
hundredths. The second channel is 1 at two steps, one in each half, and 0 elsewhere. Always predicting 1, the mean,
has an RMSE of about 0.41.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HEAD = "@problemName Adding\n@univariate false\n@dimensions 2\n@targetLabel true\n@data\n"


def adding(file: Path, count: int, steps: int, seed: int) -> None:
    """Write ``count`` sequences of ``steps`` steps."""
    random = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        values = random.integers(0, 101, steps)
        marked = random.integers(0, steps // 2), random.integers(steps // 2, steps)
        numbers = ",".join(f"{value / 100:g}" for value in values)
        marks = ",".join("1" if step in marked else "0" for step in range(steps))
        lines.append(f"{numbers}:{marks}:{sum(values[step] for step in marked) / 100:g}\n")
    file.write_text(HEAD + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    adding(Path(sys.argv[1]), *map(int, sys.argv[2:]))
