"""Draw the picture of docs/tasks.md: the bundled sunspots, forecast by an LSTM and by its baselines.

    python docs/sunspots.py docs/sunspots.png

The last eleven years are the test part, as in ``seriatim train forecast sunspots``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import polars
from matplotlib import pyplot

import seriatim
from seriatim.data.bundled import bundled_set

MODELS = {"lstm": "#c0392b", "ar": "#2c7fb8", "seasonal_naive": "#999999"}


def main(picture: Path) -> None:
    """Train the models, forecast the test part and draw."""
    table = polars.read_csv(bundled_set("sunspots").path)
    past, future = table.head(len(table) - 11), table.tail(11)
    figure, axes = pyplot.subplots(figsize=(8, 3.4), layout="constrained")
    axes.plot(table["year"].tail(71), table["activity"].tail(71), color="#222222", lw=1.2, label="observed")
    for model, colour in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            run = seriatim.train("forecast", "sunspots", model=model, baselines="none", out=f"{folder}/run", threads=1)
            (row,) = run.predict(past)
            mase = run.result["scores"]["mase"]
        quantiles = row["activity"]
        axes.plot(future["year"], quantiles["0.5"], color=colour, lw=1.6, label=f"{model}, MASE {mase:.2f}")
        if model == "lstm":
            axes.fill_between(future["year"], quantiles["0.1"], quantiles["0.9"], color=colour, alpha=0.15, lw=0)
    axes.axvline(future["year"][0] - 0.5, color="#bbbbbb", lw=0.8, ls=":")
    axes.set(xlabel="year", ylabel="sunspot activity", ylim=(-60, 260))
    axes.set_title("Eleven years ahead from 1997; the band is 10 to 90 %")
    axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
