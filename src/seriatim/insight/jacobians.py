"""The Jacobian of one step, and of many.

    J_t = ∂s_t / ∂s_{t-1}                      [N, N]                      (1)
    ∂s_t / ∂s_{t-k} = J_t J_{t-1} … J_{t-k+1}                              (2)

How gradients vanish and explode is in the singular values of (2) (Bengio 1994; Pascanu 2013): they are the factors by
which a small change of the state k steps ago, or a gradient on its way back, is stretched.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

import torch
from torch import Tensor

from seriatim.insight.step import Step


def step_jacobian(step: Step, x: Tensor, state: Tensor) -> Tensor:
    """Return J [B, N, N] of one step at x [B, I] and the state [B, N]; J[b, i, j] = ∂s'_i/∂s_j of row b.

    Each row is repeated N times, so that one backward pass gives all rows of J. Any differentiable step will do.

    >>> step_jacobian(lambda x, s: torch.stack([s[:, 1], 2 * s[:, 0]], 1), torch.zeros(1, 1), torch.ones(1, 2)).tolist()
    [[[0.0, 1.0], [2.0, 0.0]]]
    """
    rows, size = state.shape
    repeated = state.detach().repeat_interleave(size, 0).requires_grad_()
    with torch.enable_grad():
        next_state = step(x.detach().repeat_interleave(size, 0), repeated)
    if not next_state.requires_grad:
        return state.new_zeros(rows, size, size)
    cotangent = torch.eye(size, dtype=next_state.dtype, device=next_state.device).repeat(rows, 1)
    (gradient,) = torch.autograd.grad(next_state, repeated, cotangent, allow_unused=True)
    return state.new_zeros(rows, size, size) if gradient is None else gradient.view(rows, size, size)


def jacobians_backwards(step: Step, inputs: Tensor, states: Tensor) -> Iterator[Tensor]:
    """Yield J_T, …, J_1, [B, N, N] each, for inputs [T, B, I] and the states [T + 1, B, N] of ``trajectory``."""
    for t in reversed(range(len(inputs))):
        yield step_jacobian(step, inputs[t], states[t])


def products(step: Step, inputs: Tensor, states: Tensor) -> Iterator[Tensor]:
    """Yield ∂s_T/∂s_{T-k} [B, N, N] for k = 1 … T, by equation (2)."""
    product: Tensor | None = None
    for jacobian in jacobians_backwards(step, inputs, states):
        product = jacobian if product is None else product @ jacobian
        yield product


def singular_values(matrices: Tensor) -> Tensor:
    """Return the singular values [..., N] of matrices [..., N, N], the largest first.

    Those of a matrix with a number that is not finite are infinite.

    >>> singular_values(torch.diag(torch.tensor([1.0, -3.0]))).tolist()
    [3.0, 1.0]
    """
    is_finite = matrices.isfinite().flatten(-2).all(-1)
    values: Tensor = torch.linalg.svdvals(torch.where(is_finite[..., None, None], matrices, 0.0))
    return torch.where(is_finite[..., None], values, torch.inf)


def gain_by_lag(jacobians: Iterable[Tensor], lags: Container[int] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return lags [K] and the largest and the median singular value of ∂s_T/∂s_{T-k} at each, [K, B] both.

    ``jacobians`` come in the order of ``jacobians_backwards``. ``lags`` are those at which singular values are wanted
    (None: all); lag 0, with the value 1, is always the first.
    """
    product: Tensor | None = None
    places, largest, middle = [0], [], []
    for lag, jacobian in enumerate(jacobians, 1):
        product = jacobian if product is None else product @ jacobian
        if lags is None or lag in lags:
            values = singular_values(product)
            places.append(lag)
            largest.append(values[:, 0])
            middle.append(values.median(1).values)
    assert product is not None
    ones = product.new_ones(len(product))
    return torch.tensor(places), torch.stack([ones, *largest]), torch.stack([ones, *middle])
