"""A picture of the attention weights between a source and the text that was written."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any


def draw_alignment(alignment: Mapping[str, Any]) -> bytes:
    """Draw ``{"source": [S units], "target": [T units], "weights": [T][S]}`` as a PNG file: dark is a large weight.

    Columns are units of the source, or numbered regions of a picture if there is no ``source``. Rows are units of the
    text, in the order of writing from the top down.
    """
    from matplotlib.figure import Figure  # slow to import, needed only here

    target: Sequence[str] = alignment["target"]
    regions = len(alignment["weights"][0]) if target else 1
    source: Sequence[str] = alignment.get("source", [str(number) for number in range(1, regions + 1)])
    figure = Figure(figsize=(1.5 + 0.32 * len(source), 1.2 + 0.32 * max(len(target), 1)), layout="constrained")
    axes = figure.add_subplot()
    if target:
        axes.imshow(alignment["weights"], cmap="Greys", vmin=0.0, vmax=1.0, aspect="equal")
    rotation = 90 if max(map(len, source)) > 2 else 0
    axes.set_xticks(range(len(source)), _plain(source), rotation=rotation)
    axes.set_yticks(range(len(target)), _plain(target))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the character is drawn as a box
        figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()


def _plain(units: Sequence[str]) -> list[str]:
    """Keep Matplotlib from reading dollar signs as formulas."""
    return [unit.replace("$", r"\$") for unit in units]
