"""Connections around a recurrent layer: none, a residual or highway connection, or a block with feed-forward layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from seriatim.runtime.arithmetic import Floats, affine, gelu, layer_norm, sigmoid
from seriatim.runtime.weights import WeightFile


class Connection(ABC):
    """The way past one layer, for x [..., C]."""

    def enter(self, x: Floats) -> Floats:
        """Return the input of the layer."""
        return x

    @abstractmethod
    def leave(self, x: Floats, output: Floats) -> Floats:
        """Combine x and the output of the layer."""


@final
class Straight(Connection):
    """No connection."""

    def leave(self, x: Floats, output: Floats) -> Floats:
        return output


@final
class Residual(Connection):
    """x + F(x) (He 2016)."""

    def leave(self, x: Floats, output: Floats) -> Floats:
        return x + output


@final
class Highway(Connection):
    """t ⊙ F(x) + (1 - t) ⊙ x with t = σ(x Wᵀ + b) (Srivastava 2015)."""

    def __init__(self, weights: WeightFile, name: str, width: int) -> None:
        self._transform = _affine(weights, f"{name}.transform", width, width)

    def leave(self, x: Floats, output: Floats) -> Floats:
        gate: Floats = sigmoid(affine(x, *self._transform))
        return x + gate * (output - x)


@final
class Block(Connection):
    """x + F(norm(x)), then x + W₂ gelu(W₁ norm(x) + b₁) + b₂ (Feng 2024, Orvieto 2023)."""

    def __init__(self, weights: WeightFile, name: str, width: int) -> None:
        inner = weights.shape(f"{name}.linear1.bias")[0] if weights.shape(f"{name}.linear1.bias") else 0
        self._norm1 = _pair(weights, f"{name}.norm1", width)
        self._norm2 = _pair(weights, f"{name}.norm2", width)
        self._linear1 = _affine(weights, f"{name}.linear1", inner, width)
        self._linear2 = _affine(weights, f"{name}.linear2", width, inner)

    def enter(self, x: Floats) -> Floats:
        return layer_norm(x, *self._norm1)

    def leave(self, x: Floats, output: Floats) -> Floats:
        x = x + output
        return x + affine(gelu(affine(layer_norm(x, *self._norm2), *self._linear1)), *self._linear2)


def read_connection(name: str, number: int, weights: WeightFile, prefix: str, width: int) -> Connection:
    """Read the connection called ``name`` of layer ``number``, whose output has ``width`` channels."""
    if name == "block":
        return Block(weights, prefix, width)
    if number == 0 or name == "none":
        return Straight()
    return Highway(weights, prefix, width) if name == "highway" else Residual()


def _affine(weights: WeightFile, name: str, outputs: int, inputs: int) -> tuple[Floats, Floats]:
    return weights.take(f"{name}.weight", outputs, inputs), weights.take(f"{name}.bias", outputs)


def _pair(weights: WeightFile, name: str, width: int) -> tuple[Floats, Floats]:
    return weights.take(f"{name}.weight", width), weights.take(f"{name}.bias", width)
