"""Rounds weights for a smaller file: to bfloat16, or to whole numbers of 8 bits with one scale per row."""

from __future__ import annotations

import copy
from typing import Any, Final, TypeVar

import numpy as np
import torch
from torch import nn

Array = np.ndarray[Any, Any]
Network = TypeVar("Network", bound=nn.Module)

DTYPES: Final = ("float32", "bf16", "int8")


def to_bf16(values: Array) -> Array:
    """Round float32 to the nearest bfloat16, ties to even; return the bits as uint16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    result: Array = np.where(np.isnan(values), 0x7FC0, rounded >> 16).astype(np.uint16)
    return result


def to_int8(values: Array) -> tuple[Array, Array]:
    """Round [rows, …] to whole numbers from -127 to 127; return them and the scale of each row."""
    rows = values.reshape(len(values), -1)
    scale = np.abs(rows).max(1, initial=0.0).astype(np.float32) / np.float32(127)
    divisor = np.where(scale > 0, scale, 1)[:, None]
    whole = np.clip(np.rint(rows / divisor), -127, 127).astype(np.int8)
    return whole.reshape(values.shape), scale


def rounded(name: str, values: Array, dtype: str) -> dict[str, tuple[str, Array]]:
    """Return the stored arrays of one weight, with their types of safetensors. int8 rounds matrices alone."""
    if is_exact(name):
        return {name: (str(values.dtype), values)}
    if values.dtype == np.float32 and dtype == "bf16":
        return {name: ("bfloat16", to_bf16(values))}
    if values.dtype == np.float32 and dtype == "int8" and values.ndim > 1:
        whole, scale = to_int8(values)
        return {name: ("int8", whole), f"{name}.scale": ("float32", scale)}
    return {name: (str(values.dtype), values)}


def round_network(network: Network, dtype: str) -> Network:
    """Return a copy of a network with rounded weights, as its exported folder will hold them."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            values = parameter.detach().numpy()
            if is_exact(name):
                continue
            if dtype == "bf16":
                parameter.copy_(torch.from_numpy((to_bf16(values).astype(np.uint32) << 16).view(np.float32)))
            elif values.ndim > 1:
                whole, scale = to_int8(values)
                rows = scale.reshape(-1, *[1] * (values.ndim - 1))
                parameter.copy_(torch.from_numpy(whole.astype(np.float32) * rows))
    return network


def is_exact(name: str) -> bool:
    """Whether a weight is never rounded: exponents of an LRU, in which errors grow, and statistics of a norm."""
    return "decay" in name or name.endswith((".mean", ".variance"))
