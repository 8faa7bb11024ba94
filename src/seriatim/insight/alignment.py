"""A picture of the attention weights between a source and the text that was written."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Alignment:
    """A written text with the attention weights on each unit or region of its source."""

    source: tuple[str, ...]
    """[S] units; numbers of regions for a picture."""
    target: tuple[str, ...]
    """[T] units, in the order of writing."""
    weights: tuple[tuple[float, ...], ...]
    """[T][S]; each row sums to 1."""
    side: int = 0
    """Regions along a side of a picture, if the source is one whose regions form a square."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Alignment:
        """Make an alignment of ``{"source": [S units], "target": [T units], "weights": [T][S]}``.

        Without ``source`` the columns are regions of a picture.
        """
        weights = tuple(tuple(map(float, shares)) for shares in row["weights"])
        regions = [str(number) for number in range(1, len(weights[0]) + 1)] if weights else []
        side = math.isqrt(len(regions)) if "source" not in row else 0
        is_square = side * side == len(regions)
        return cls(tuple(row.get("source", regions)), tuple(row["target"]), weights, side if is_square else 0)


def draw_alignment(alignment: Mapping[str, Any]) -> bytes:
    """Draw the mapping that ``Alignment.of`` reads as a PNG file: dark is a large weight.

    Columns are units of the source, or numbered regions of a picture. Rows are units of the text, in the order of
    writing from the top down.
    """
    from matplotlib.figure import Figure  # slow to import, needed only here

    aligned = Alignment.of(alignment)
    source, target = aligned.source or ("1",), aligned.target
    figure = Figure(figsize=(1.5 + 0.32 * len(source), 1.2 + 0.32 * max(len(target), 1)), layout="constrained")
    axes = figure.add_subplot()
    if target:
        axes.imshow(aligned.weights, cmap="Greys", vmin=0.0, vmax=1.0, aspect="equal")
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
