"""The recurrence by PyTorch's own fused functions, one layer in one direction.

On the CPU these are oneDNN for a padded LSTM and loops in C++ for the rest. Tensors on a GPU take the same
calls to cuDNN; that path is not tested.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Container

import torch
from torch import Tensor
from torch.autograd import forward_ad

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import masks
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
    """Whether PyTorch has a function for a whole layer of this cell, and the walk asks for nothing it cannot give."""
    forward_mode = spec.kind == "lstm" and forward_ad._current_level >= 0  # which oneDNN's LSTM has not
    projected = spec.proj_size and spec.kind != "lstm"
    return _pytorchs(spec, LAYERS) and not projected and masks.plain(walk) and not forward_mode


def fits_step(spec: CellSpec, x: Tensor) -> bool:
    """Whether PyTorch has a function for one step of this cell."""
    return _pytorchs(spec, STEPS) and not spec.proj_size


def _pytorchs(spec: CellSpec, table: Container[tuple[str, str]]) -> bool:
    return (
        (spec.kind, spec.activation) in table
        and spec.reset_after
        and not (spec.peephole or spec.layer_norm or spec.clip)
    )


def forward(
    spec: CellSpec, x: Tensor, state: tuple[Tensor, ...], weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Every row through all of x [T, B, I], from state [B, ·] → output [T, B, P or H], final state."""
    if spec.proj_size:
        _spend_projection_warning()
    batched = tuple(one.unsqueeze(0) for one in state)
    output, *final = LAYERS[spec.kind, spec.activation](
        x,
        batched if len(batched) > 1 else batched[0],
        weights.present(),
        spec.bias,
        1,  # layers
        0.0,  # dropout
        torch.is_grad_enabled(),  # train: cuDNN and oneDNN then keep what backward needs
        False,  # bidirectional
        False,  # batch_first
    )
    return output, tuple(one.squeeze(0) for one in final)


def step(spec: CellSpec, x: Tensor, state: tuple[Tensor, ...], weights: Weights[Tensor]) -> tuple[Tensor, ...]:
    """One step: x [B, I] and the state [B, ·] → the next state."""
    following = STEPS[spec.kind, spec.activation](
        x, state if len(state) > 1 else state[0], weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh
    )
    return following if isinstance(following, tuple) else (following,)


@functools.cache
def _spend_projection_warning() -> None:
    """PyTorch warns once per process that oneDNN has no projected LSTM, which no caller can act on: let it, unheard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, two = torch.zeros(1, 1, 1), torch.zeros(1, 1, 2)
        torch.lstm(
            one, (one, two), [torch.zeros(8, 1), torch.zeros(8, 1), torch.zeros(1, 2)],
            False, 1, 0.0, False, False, False,
        )  # fmt: skip
