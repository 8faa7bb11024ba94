"""Plain NumPy arithmetic of the layers around the recurrence.

A function on *rows* computes each row by itself, with the same operations whatever other rows there are. Its results
are equal bit for bit for one row and for many, which a product of matrices does not promise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Scalar = TypeVar("Scalar", bound=np.generic)


def affine(x: Floats, weight: Floats, bias: Floats | None) -> Floats:
    """x [..., I] and weight [O, I] → [..., O]."""
    result: Floats = x @ weight.T
    return result if bias is None else result + bias


def affine_rows(x: Floats, weight: Floats, bias: Floats | None) -> Floats:
    """The same for rows x [B, I]."""
    result = np.empty((len(x), len(weight)), np.float32)
    for row, output in zip(np.ascontiguousarray(x), result, strict=True):
        np.dot(weight, row, out=output)
    return result if bias is None else result + bias


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    e = np.exp(-np.abs(x))
    result: NDArray[Any] = np.where(x >= 0, 1, e) / (1 + e)
    return result


def softplus(x: Floats) -> Floats:
    result: Floats = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return result


def softmax(x: NDArray[Any]) -> NDArray[Any]:
    """Over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    result: NDArray[Any] = e / e.sum(-1, keepdims=True)
    return result


def log_softmax(x: NDArray[Any]) -> NDArray[np.float64]:
    """Over the last axis, in float64."""
    shifted = x.astype(np.float64)
    shifted -= shifted.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted


def erf(x: NDArray[Any]) -> NDArray[Any]:
    """The error function: 7.1.26 of Abramowitz & Stegun, whose error is below 1.5e-7."""
    u = np.abs(x.astype(np.float64))
    t = 1 / (1 + 0.3275911 * u)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    result: NDArray[Any] = np.copysign(1 - series * np.exp(-u * u), x).astype(x.dtype)
    return result


def gelu(x: Floats) -> Floats:
    """x Φ(x)."""
    wide = x.astype(np.float64)
    result: Floats = (wide * (1 + erf(wide / np.sqrt(2))) / 2).astype(np.float32)
    return result


def layer_norm(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """Over the last axis (Ba 2016)."""
    centred = x - x.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)
    result: Floats = centred / np.sqrt(variance + np.float32(1e-5)) * weight + bias
    return result


def last_steps(x: NDArray[Scalar], count: int) -> NDArray[Scalar]:
    """The last ``count`` steps of x [T, B, C]; zeros stand for steps before the first."""
    missing = max(count - len(x), 0)
    steps = x[len(x) - min(count, len(x)) :]
    return np.concatenate([np.zeros((missing, *x.shape[1:]), x.dtype), steps]) if missing else steps


def pool_last(output: Floats, lengths: Sequence[int] | NDArray[np.int64], directions: int) -> Floats:
    """The output [T, B, C] of each direction at the last step that it read."""
    ends, rows = np.asarray(lengths), np.arange(output.shape[1])
    if directions == 1:
        last: Floats = output[ends - 1, rows]
        return last
    half = output.shape[2] // 2
    return np.concatenate([output[ends - 1, rows, :half], output[0, :, half:]], -1)


def pool_mean(output: Floats, lengths: NDArray[np.int64], directions: int) -> Floats:
    """The mean over a row's steps."""
    inside = np.arange(len(output))[:, None, None] < lengths[:, None]
    result: Floats = np.where(inside, output, 0).sum(0) / lengths[:, None].astype(np.float32)
    return result


def pool_max(output: Floats, lengths: NDArray[np.int64], directions: int) -> Floats:
    """The largest value of each channel over a row's steps."""
    inside = np.arange(len(output))[:, None, None] < lengths[:, None]
    result: Floats = np.where(inside, output, np.float32(-np.inf)).max(0)
    return result


POOLINGS = {"last": pool_last, "mean": pool_mean, "max": pool_max}
"""The poolings by the value of the option ``pool``."""
