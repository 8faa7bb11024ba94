"""Faults of a training that its rows show while it runs. Each is said in one line, when it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from seriatim.learning.options import LearningOptions
from seriatim.percent import percent

Row = Mapping[str, float]
Rule = Callable[[Row, Sequence[Row], LearningOptions], str]
"""(the new row, the rows before it, options) → a sentence about the fault and what to try; empty without a fault."""

SATURATED = 0.6
"""Share of saturated steps and units: such a layer passes hardly any gradient."""
LARGE_UPDATE = 0.2
"""Of the norm of a layer's weights. About 0.001 is usual, and 0.02 is the most that sound runs of the recipes had."""
SMALL_UPDATE = 3e-5
"""Of the norm of a layer's weights, in every layer: a thousand such updates change them by 3 % at most."""
BURST = 100.0
"""Of the smallest mean norm of the gradient so far, as in the check ``clipping``."""


def starting_faults(rows: Sequence[Row], options: LearningOptions) -> list[str]:
    """Return the faults that the last row has and the row before it does not have."""
    return [
        text for rule in RULES if (text := rule(rows[-1], rows[:-1], options)) and not _was_there(rule, rows, options)
    ]


def _was_there(rule: Rule, rows: Sequence[Row], options: LearningOptions) -> bool:
    return len(rows) > 1 and bool(rule(rows[-2], rows[:-2], options))


def _slower(options: LearningOptions) -> str:
    return f"try --lr {options.rate / 10:.3g}"


def saturation(row: Row, earlier: Sequence[Row], options: LearningOptions) -> str:
    """A layer whose activations are saturated."""
    layer, share = _largest(row, "saturated/")
    if share < SATURATED:
        return ""
    return f"{percent(share)} of {layer} is saturated and passes hardly any gradient; {_slower(options)}"


def large_updates(row: Row, earlier: Sequence[Row], options: LearningOptions) -> str:
    """An update that changes a layer's weights by a large share of them, after the first validation."""
    layer, ratio = _largest(row, "update_ratio/")
    if ratio < LARGE_UPDATE or not earlier:
        return ""
    return f"one update changes the weights of {layer} by {percent(ratio)} of their size; {_slower(options)}"


def small_updates(row: Row, earlier: Sequence[Row], options: LearningOptions) -> str:
    """Weights that hardly change, at the first validation: later a schedule may let the rate fall."""
    _, ratio = _largest(row, "update_ratio/")
    if earlier or options.warmup or not 0 < ratio < SMALL_UPDATE:
        return ""
    return (
        f"no update changes a layer's weights by more than {ratio:.1g} of their size; try --lr {options.rate * 100:.3g}"
    )


def no_gradient(row: Row, earlier: Sequence[Row], options: LearningOptions) -> str:
    """A layer that no gradient reaches."""
    prefix = "gradient_norm/"
    silent = [name.removeprefix(prefix) for name, norm in row.items() if name.startswith(prefix) and norm == 0.0]
    if not silent or row["gradient_norm"] == 0.0:
        return ""
    return f"no gradient reaches {', '.join(silent)}: nothing is learnt there; {_slower(options)}"


def burst(row: Row, earlier: Sequence[Row], options: LearningOptions) -> str:
    """A gradient that is far larger than before and is not clipped."""
    if options.clip or not earlier:
        return ""
    norm, smallest = row["gradient_norm"], min(other["gradient_norm"] for other in earlier)
    if norm <= 1.0 or norm <= BURST * smallest:
        return ""
    return f"the mean gradient norm is {norm:.3g}, after {smallest:.3g} before; try --clip 1"


def rising_loss(row: Row, earlier: Sequence[Row], options: LearningOptions) -> str:
    """The training loss is higher than at the first validation."""
    if not earlier:
        return ""
    loss, first = row["train_loss"], earlier[0]["train_loss"]
    if loss <= first + 0.1 * abs(first):
        return ""
    return f"the training loss is {loss:.4g}, more than the {first:.4g} of the first validation; {_slower(options)}"


RULES: tuple[Rule, ...] = (saturation, large_updates, small_updates, no_gradient, burst, rising_loss)


def _largest(row: Row, prefix: str) -> tuple[str, float]:
    """The layer with the largest signal of that prefix, and the signal; 0 where there is none."""
    signals = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    layer = max(signals, key=lambda name: signals[name], default="")
    return layer, signals.get(layer, 0.0)
