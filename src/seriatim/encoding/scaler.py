"""Scales numeric channels to mean 0 and standard deviation 1, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Real = TypeVar("Real", np.float32, np.float64)

ROWS_AT_A_TIME = 1 << 18


@final
class Standardizer:
    """``(x - mean) / scale`` per channel; ``mean`` and ``scale`` are float64 ``[C]``."""

    def __init__(self, mean: ArrayLike, scale: ArrayLike) -> None:
        """Raises ``ValueError`` unless both are finite ``[C]`` and all scales are greater than 0."""
        self.mean: NDArray[np.float64] = np.asarray(mean, dtype=np.float64)
        self.scale: NDArray[np.float64] = np.asarray(scale, dtype=np.float64)
        if self.mean.ndim != 1 or self.mean.shape != self.scale.shape:
            raise ValueError(f"mean {self.mean.shape} and scale {self.scale.shape} are not both [C]")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError("mean or scale is not finite, or a scale is not above 0")

    @classmethod
    def fit(cls, values: NDArray[np.float64] | NDArray[np.float32]) -> Standardizer:
        """Fit on ``values`` ``[T, C]``.

        NaN is ignored. A channel that is constant or has no value gets scale 1. The rows are processed in blocks, so
        that memory stays small.
        """
        channels = values.shape[1]
        count, total, squares = np.zeros(channels), np.zeros(channels), np.zeros(channels)
        for part in _parts(values):
            count += np.isfinite(part).sum(axis=0)
            total += np.nansum(part, axis=0)
        mean = total / np.maximum(count, 1)
        for part in _parts(values):
            squares += np.nansum((part - mean) ** 2, axis=0)
        scale = np.sqrt(squares / np.maximum(count, 1))
        scale[scale <= 1e-12 * np.abs(mean)] = 1.0  # constant except for rounding
        return cls(mean, scale)

    def transform(self, values: NDArray[Real]) -> NDArray[Real]:
        """Standardize ``[..., C]`` in the data's units; the dtype stays."""
        centred: NDArray[Real] = values - self.mean.astype(values.dtype)
        centred /= self.scale.astype(values.dtype)
        return centred

    def inverse(self, values: NDArray[Real]) -> NDArray[Real]:
        """Convert standardized ``[..., C]`` back to the data's units; the dtype stays."""
        return values * self.scale.astype(values.dtype) + self.mean.astype(values.dtype)

    def to_json(self) -> dict[str, Any]:
        """Return the scaler as plain JSON values, exactly."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Standardizer:
        """Rebuild a scaler. Raises ``ValueError`` if ``stored`` is damaged."""
        try:
            return cls(stored["mean"], stored["scale"])
        except KeyError as error:
            raise ValueError(f"{error} is missing") from None
        except TypeError:
            raise ValueError("not a scaler") from None


def _parts(values: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(values), ROWS_AT_A_TIME):
        yield values[start : start + ROWS_AT_A_TIME].astype(np.float64, copy=False)
