"""Time constants of gates: for how many steps a unit keeps what it holds.

A unit that keeps a share f_t of its value at step t has kept exp(Σ ln f_t) of it after k steps. With the mean of ln f
over time:

    τ = -1 / mean(ln f)          the share falls to 1/e after τ steps      (1)
    horizon of 1 % = τ ln 100                                              (2)

(Tallec & Ollivier 2018 read gates so.) It is the path through the gate alone; what comes back through the weights
between hidden units is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

HORIZON_FACTOR = math.log(100.0)
"""Horizon of 1 % over the time constant."""


def time_constants(retention: Tensor) -> Tensor:
    """Return τ of each unit [H] for the shares f [..., H] that the unit kept at each step, between 0 and 1.

    A unit that always keeps everything has τ = inf, one that never keeps anything τ = 0.

    >>> time_constants(torch.sigmoid(torch.tensor([[0.0, 5.0]]).double()))
    tensor([  1.4427, 148.9126], dtype=torch.float64)
    """
    logs = retention.double().flatten(0, -2).log().mean(0)
    return -1.0 / logs


def retention(kind: str, states: Mapping[str, Tensor]) -> Tensor | None:
    """Return the share of its old value that each unit kept, [L, T, B, H], from a layer's ``return_states="all"``.

    ``kind`` is the cell's. None for a cell without such a gate (``rnn``), and for ``slstm``, which normalises.

        LSTM f · GRU z · minGRU 1 - z · minLSTM f / (f + i)
    """
    if kind == "lstm":
        return states["f"]
    if kind == "gru":
        return states["z"]
    if kind == "mingru":
        return 1 - states["z"]
    if kind == "minlstm":
        return states["f"] / (states["f"] + states["i"])
    return None


def lru_retention(decay: Tensor) -> Tensor:
    """Return |λ| [H] of an LRU, from its parameter ``decay`` [3, H] (Orvieto 2023)."""
    return torch.exp(-torch.exp(decay[0].double()))
