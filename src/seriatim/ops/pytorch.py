"""The recurrence by PyTorch's own fused functions, one layer in one direction.

On the CPU these are oneDNN for a padded LSTM and loops in C++ for the rest. Tensors on a GPU take the same
calls to cuDNN, which is not tested.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Container

import torch
from torch import Tensor

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops.eager import is_forward_mode
from seriatim.ops.variable_length import has_no_masks, over_lengths
from seriatim.spec import CellSpec

Layer = Callable[..., tuple[Tensor, ...]]
Step = Callable[..., "Tensor | tuple[Tensor, ...]"]

LAYERS: dict[tuple[str, str], Layer] = {
    ("rnn", "tanh"): torch.rnn_tanh,
    ("rnn", "relu"): torch.rnn_relu,
    ("lstm", "tanh"): torch.lstm,
    ("gru", "tanh"): torch.gru,
}
STEPS: dict[tuple[str, str], Step] = {
    ("rnn", "tanh"): torch.rnn_tanh_cell,
    ("rnn", "relu"): torch.rnn_relu_cell,
    ("lstm", "tanh"): torch.lstm_cell,
    ("gru", "tanh"): torch.gru_cell,
}
"""By kind and activation."""


def fits(spec: CellSpec, x: Tensor, walk: Walk[Tensor]) -> bool:
    """Whether PyTorch has a function for a whole layer of this cell, and the walk has no masks."""
    lacks_forward_mode = spec.kind == "lstm" and is_forward_mode()  # oneDNN's LSTM has none
    return has_layer(spec) and not lacks_forward_mode and has_no_masks(walk)


def fits_step(spec: CellSpec, x: Tensor) -> bool:
    """Whether PyTorch has a function for one step of this cell."""
    return has_step(spec)


def has_layer(spec: CellSpec) -> bool:
    """Whether PyTorch has a layer of this cell."""
    return _pytorch_has(spec, LAYERS) and not (spec.proj_size and spec.kind != "lstm")


def has_step(spec: CellSpec) -> bool:
    """Whether PyTorch has a single step of this cell."""
    return _pytorch_has(spec, STEPS) and not spec.proj_size


def _pytorch_has(spec: CellSpec, functions: Container[tuple[str, str]]) -> bool:
    return (
        (spec.kind, spec.activation) in functions
        and spec.reset_after
        and not (spec.peephole or spec.layer_norm or spec.clip)
    )


def _run_padded(
    spec: CellSpec, x: Tensor, state: tuple[Tensor, ...], weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run all of x [T, B, I] from state [B, ·] → output [T, B, P or H], final state."""
    if spec.proj_size:
        _spend_projection_warning()
    first = tuple(part.unsqueeze(0) for part in state)
    output, *final = LAYERS[spec.kind, spec.activation](
        x,
        first if len(first) > 1 else first[0],
        weights.present(),
        spec.bias,
        1,  # layers
        0.0,  # dropout
        torch.is_grad_enabled(),  # train: cuDNN and oneDNN then keep what backward needs
        False,  # bidirectional
        False,  # batch_first
    )
    return output, tuple(part.squeeze(0) for part in final)


run = over_lengths(_run_padded)
"""Contract: ``ops.recurrence.recurrence``."""


def step(spec: CellSpec, x: Tensor, state: tuple[Tensor, ...], weights: Weights[Tensor]) -> tuple[Tensor, ...]:
    """One step: x [B, I] and the state [B, ·] → the next state."""
    final = STEPS[spec.kind, spec.activation](
        x, state if len(state) > 1 else state[0], weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh
    )
    return final if isinstance(final, tuple) else (final,)


@functools.cache
def _spend_projection_warning() -> None:
    """Trigger and suppress PyTorch's warning that oneDNN has no projected LSTM. It comes once per process, and the
    caller can do nothing about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        h, c = torch.zeros(1, 1, 1), torch.zeros(1, 1, 2)
        torch.lstm(
            h, (h, c), [torch.zeros(8, 1), torch.zeros(8, 1), torch.zeros(1, 2)],
            False, 1, 0.0, False, False, False,
        )  # fmt: skip
