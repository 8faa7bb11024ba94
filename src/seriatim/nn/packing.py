"""Conversion of packed data to padded rows and back, by one copy each; PyTorch converts step by step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from seriatim.ops.variable_length import permute_rows


def unpacked(packed: PackedSequence) -> tuple[Tensor, Tensor, Places]:
    """Return padded rows [T, B, ·] in packed order (falling length), their lengths [B], and the places of both forms.

    The padding holds arbitrary values, which a recurrence does not read.
    """
    sizes = packed.batch_sizes
    rows = int(sizes[0])
    in_row = torch.arange(rows) < sizes[:, None]
    in_padded_rows = in_row.flatten().nonzero().squeeze(1)
    in_packed_data = torch.zeros(in_row.numel(), dtype=torch.int64).index_copy(
        0, in_padded_rows, torch.arange(len(in_padded_rows))
    )
    device = packed.data.device
    places = Places(in_padded_rows.to(device), in_packed_data.to(device))
    padded = permute_rows(packed.data, places.in_packed_data, places.in_padded_rows)
    return padded.view(-1, rows, padded.shape[1]), in_row.sum(0), places


def repacked(padded: Tensor, places: Places) -> Tensor:
    """Return the steps of [T, B, ·] that are not padding, as packed data."""
    return permute_rows(padded.flatten(0, 1), places.in_padded_rows, places.in_packed_data)


class Places(NamedTuple):
    """Where the steps are in packed data and in padded rows."""

    in_padded_rows: Tensor
    """For each step of the packed data, its index among the T·B steps of the padded rows."""
    in_packed_data: Tensor
    """For each of the T·B steps of the padded rows, its index in the packed data; 0 for padding."""
