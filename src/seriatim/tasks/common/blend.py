"""A blend: the mixture of a network and baselines, whose weights are fitted on the validation part.

A task gathers the predictions of all models on its validation part and calls one of the ``choose_…`` functions. The
``Choice`` says which model validates best, and has the weights of the blend, if it is better than each model alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from seriatim.decoding.mixing import MIXERS, mix_linear, mix_logits, mix_quantiles, mix_scores
from seriatim.tasks.common.mixture_weights import (
    linear_weights,
    logit_weights,
    loss_weights,
    quantile_loss,
    quantile_weights,
    score_weights,
    without_small,
)
from seriatim.tasks.options.blending import BLEND

Array = np.ndarray[Any, Any]

ENOUGH: Final = 50
"""With fewer validation rows than this, weights are not fitted. A row is a unit, a sequence, a word or a window. A
weight for each of H horizon steps wants H times as many."""
TRIVIAL: Final = frozenset({"unigram", "majority", "mean", "naive", "seasonal_naive", "drift", "most_frequent_tag"})
"""Baselines that get no equal weight, because they are there as a lower limit."""
NEVER_WEIGHED: Final = frozenset({"naive", "drift"})
"""Forecasters that get no weight from few windows."""


@dataclass(frozen=True)
class Member:
    """A fitted model with the options that it was made from."""

    model: Any
    options: Any


@dataclass(frozen=True)
class Choice:
    """The model that validates best, and the blend, if there is one."""

    best: str
    """The name of a model, or ``blend``."""
    form: str = ""
    weights: Mapping[str, Array] | None = None
    """The weights of each model of the blend: one number, or [H, Q] for quantiles. None without a blend."""
    note: str = ""
    """A remark for the user."""

    @property
    def parts(self) -> dict[str, float]:
        """The mean weight of each model of the blend."""
        return {name: float(np.mean(values)) for name, values in (self.weights or {}).items()}

    def to_json(self) -> dict[str, Any]:
        """Return the blend as JSON values."""
        return {"form": self.form, "weights": {name: array.tolist() for name, array in (self.weights or {}).items()}}


@dataclass(frozen=True)
class Blend:
    """A mixture of fitted models. A task scores it and predicts with it as with any of its models."""

    members: tuple[Member, ...]
    form: str
    weights: Array
    """[M], or [M, H, Q] for quantiles."""

    @classmethod
    def of(cls, stored: Mapping[str, Any], members: Mapping[str, Member]) -> Blend:
        """Rebuild a blend from ``Choice.to_json``. Raises ``ValueError``, ``KeyError`` or ``TypeError`` if damaged."""
        form, weights = stored["form"], stored["weights"]
        if form not in MIXERS:
            raise ValueError(f"form: got {form!r}, wanted one of {', '.join(MIXERS)}")
        array = np.array([weights[name] for name in weights], np.float64)
        if array.ndim != (3 if form == "quantiles" else 1) or not np.isfinite(array).all() or (array < 0).any():
            raise ValueError(f"weights: got shape {array.shape}, wanted numbers from 0, one or a table for each model")
        return cls(tuple(members[name] for name in weights), form, array)

    def each(self, predict: Callable[[Member], Array]) -> Array:
        """Return the predictions of all members as one array [M, …]."""
        return np.stack([predict(member) for member in self.members])

    def mix(self, predictions: Array) -> Array:
        """Mix the members' predictions [M, …]: log-probabilities, or quantiles [M, N, H, …, Q]."""
        return MIXERS[self.form](predictions, self.weights)


def choose_linear(log_chances: Mapping[str, Array]) -> Choice:
    """Choose by the log-probability [N] that each model gives to what occurred. For predictions of next units."""
    return _choose(
        log_chances,
        "linear",
        fit=linear_weights,
        losses=lambda arrays, weights: -mix_linear(arrays, weights),
    )


def choose_probabilities(log_chances: Mapping[str, Array], labels: Array) -> Choice:
    """Choose by the log-probabilities [N, K] of all classes and the true classes [N], mixed linearly or as logits."""
    rows = np.arange(len(labels))
    right = {name: array[rows, labels] for name, array in log_chances.items()}
    linear = choose_linear(right)
    logits = _choose(
        log_chances,
        "logits",
        fit=lambda arrays: logit_weights(arrays, labels),
        losses=lambda arrays, weights: -mix_logits(arrays, weights)[rows, labels],
    )
    if linear.weights is None or logits.weights is None:
        return linear if logits.weights is None else logits
    losses = {}
    for choice, mix in ((linear, mix_linear), (logits, mix_logits)):
        weights = np.array(list(choice.parts.values()))
        mixed = mix(np.stack([log_chances[name] for name in choice.parts]), weights)
        losses[choice.form] = -float(mixed[rows, labels].mean())
    return linear if losses["linear"] <= losses["logits"] else logits


def choose_scores(tables: Mapping[str, Array], losses: Callable[[torch.Tensor], torch.Tensor]) -> Choice:
    """Choose by the tables of scores [R, K] of each model, which describe the same N sequences of tags.

    ``losses`` returns −log p of the right tags of each sequence, [N], for a table.
    """

    def losses_of_mixture(arrays: Array, weights: Array) -> Array:
        with torch.no_grad():
            return losses(torch.from_numpy(mix_scores(arrays, weights))).numpy()

    return _choose(tables, "scores", fit=lambda arrays: score_weights(arrays, losses), losses=losses_of_mixture)


def choose_quantiles(
    quantiles: Mapping[str, Array], actual: Array, observed: Array, levels: Array, *, windows: int | None = None
) -> Choice:
    """Choose by quantiles [N, H, Q] and values [N, H], by the quantile loss over observed values.

    All numbers have a scale of about 1. A level [Q] of NaN means a mean, which is judged by squared errors. ``windows``
    is for forecasts: the number of windows that do not overlap. If they are too few to fit weights, each model's weight
    follows from its loss; if they are too few for each horizon step, all steps have the same weights.
    """
    is_row = observed.any(1)
    actual, observed = actual[is_row], observed[is_row]
    predictions = {name: array[is_row] for name, array in quantiles.items()}
    rows = len(observed) if windows is None else min(windows, len(observed))
    fewest = int(observed.sum(0).min()) if len(observed) else 0
    pooled = rows < ENOUGH * actual.shape[1] or fewest < ENOUGH

    def losses(arrays: Array, weights: Array) -> Array:
        table = weights if weights.ndim == 3 else np.ones((1, *arrays.shape[2:]))
        error = actual[..., None] - mix_quantiles(arrays, table)
        of_values = quantile_loss(error, levels).mean(-1)
        means: Array = (of_values * observed).sum(1) / observed.sum(1)
        return means

    return _choose(
        predictions,
        "quantiles",
        fit=lambda arrays: quantile_weights(arrays, actual, observed, levels, pooled=pooled),
        losses=losses,
        windows=None if windows is None else rows,
    )


def _choose(
    predictions: Mapping[str, Array],
    form: str,
    *,
    fit: Callable[[Array], Array],
    losses: Callable[[Array, Array], Array],
    windows: int | None = None,
) -> Choice:
    """Fit the weights of all models, leave out small ones, and compare the blend with each model alone.

    ``losses`` returns the loss of each validation row. With too few rows, all models that may be as good as the best
    have equal weights; with too few ``windows`` that do not overlap, the weights follow from the losses.
    """
    names = list(predictions)

    def arrays(chosen: Sequence[str]) -> Array:
        return np.stack([predictions[name] for name in chosen])

    alone = {name: losses(arrays([name]), np.ones(1)) for name in names}
    rows = len(alone[names[0]])
    if not rows or len(names) == 1:
        return Choice(names[0])
    best = min(alone, key=lambda name: float(alone[name].mean()))
    if (rows if windows is None else windows) < ENOUGH:
        shape = predictions[best].shape[1:] if form == "quantiles" else ()
        return _by_losses(alone, windows, form, shape) if windows is not None else _equal(alone, best, form, shape)
    weights = fit(arrays(names))
    keep = without_small(weights)
    kept_names = [name for name, is_kept in zip(names, keep, strict=True) if is_kept]
    if len(kept_names) < 2:
        return Choice(best)
    if len(kept_names) < len(names):
        weights = fit(arrays(kept_names))
    if losses(arrays(kept_names), weights).mean() >= alone[best].mean():
        return Choice(best)
    return Choice(BLEND, form, dict(zip(kept_names, weights, strict=True)))


def _equal(losses: Mapping[str, Array], best: str, form: str, shape: tuple[int, ...]) -> Choice:
    """Give equal weights of ``shape`` to all models that may be as good as ``best``, by the ``losses`` of few rows."""
    weighed = [name for name in losses if name not in TRIVIAL and not is_worse(losses[name], losses[best])]
    reason = f"blend: {len(losses[best])} validation rows are too few to fit weights (wanted {ENOUGH})"
    if len(weighed) < 2:
        return Choice(best, note=f"{reason}; {best} alone validates best")
    equal = np.full(shape, 1 / len(weighed))
    return Choice(BLEND, form, dict.fromkeys(weighed, equal), f"{reason}; {', '.join(weighed)} have equal weights")


def _by_losses(losses: Mapping[str, Array], windows: int, form: str, shape: tuple[int, ...]) -> Choice:
    """Weigh forecasters by their mean losses on few ``windows``; each weight has this ``shape``.

    ``naive`` and ``drift`` get none: by chance they are good on a window, and ``ets`` has them as special cases.
    """
    means = {name: float(own.mean()) for name, own in losses.items() if name not in NEVER_WEIGHED}
    weights = loss_weights(np.array(list(means.values())))
    parts = {name: float(weight) for name, weight in zip(means, weights, strict=True) if weight > 0}
    evidence = f"{windows} validation windows that do not overlap are" if windows > 1 else "1 validation window is"
    reason = f"blend: {evidence} too few to fit weights (wanted {ENOUGH})"
    if len(parts) < 2:
        return Choice(next(iter(parts)), note=f"{reason}; {next(iter(parts))} alone has a weight")
    shown = ", ".join(f"{name} {weight:.2f}" for name, weight in parts.items())
    tables = {name: np.full(shape, weight) for name, weight in parts.items()}
    return Choice(BLEND, form, tables, f"{reason}; the weights follow from the losses: {shown}")


def is_worse(losses: Array, best: Array) -> bool:
    """Return whether a model is worse than the best one by more than two standard errors of the difference."""
    difference = losses - best
    if len(difference) < 2:
        return False
    error = float(difference.std(ddof=1)) / np.sqrt(len(difference))
    return bool(float(difference.mean()) > 2 * error)
