"""The arithmetic of layer normalisation over the last axis, without gain and shift (Ba 2016).

μ = mean(a)   s = √(mean((a - μ)²) + ε)        (1)
norm(a) = (a - μ) / s                          (2)
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]

EPSILON: Final[float] = 1e-5
"""ε, as in PyTorch's ``layer_norm``."""


def normalise(a: Floats) -> tuple[Floats, Floats]:
    """a [..., N] → norm(a) [..., N] and the deviation s [..., 1], which the backward pass needs."""
    centred = a - a.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + EPSILON)  # (1)
    return centred / deviation, deviation  # (2)


def normalise_backward(grad: Floats, normal: Floats, deviation: Floats) -> Floats:
    """The gradient of a [..., N], from the gradient of norm(a) and the results of ``normalise``.

    da = (d - mean(d) - norm(a) ⊙ mean(d ⊙ norm(a))) / s
    """
    mean = grad.mean(axis=-1, keepdims=True)
    along = (grad * normal).mean(axis=-1, keepdims=True)
    result: Floats = (grad - mean - normal * along) / deviation
    return result
