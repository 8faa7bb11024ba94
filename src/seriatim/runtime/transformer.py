"""The Transformer (Vaswani 2017) as a body, for whole sequences or for a stream with a memory of fixed span."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError
from seriatim.runtime.arithmetic import Floats, affine, last_steps, layer_norm, softmax
from seriatim.runtime.body import Body, Carry
from seriatim.runtime.description import Description
from seriatim.runtime.weights import WeightFile

BASE = 10_000.0


def angles(count: int, channels: int) -> NDArray[np.float64]:
    """The angle of each pair of channels at positions 0 … count - 1, [count, channels / 2]."""
    pairs = np.arange(0, channels, 2)
    result: NDArray[np.float64] = np.arange(count)[:, None] * BASE ** (-pairs / channels)
    return result


def rotate(x: Floats, turn: NDArray[np.float64]) -> Floats:
    """Turn each pair of channels of x [T, B, heads, C] by its angle [T, C / 2] (Su 2021)."""
    cosine, sine = (f(turn)[:, None, None].astype(np.float32) for f in (np.cos, np.sin))
    first, second = np.split(x, 2, -1)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)


def attend(
    query: Floats, key: Floats, value: Floats, heads: int, mask: NDArray[np.bool_] | None, *, rotary: bool
) -> Floats:
    """Attention of queries [T, B, C] over keys and values [S, B, C]; ``mask`` [T, S] or [B, 1 or T, S], True to see."""
    query, key, value = (part.reshape(*part.shape[:2], heads, -1) for part in (query, key, value))
    if rotary:  # the queries are the last of the keys' steps
        turn = angles(len(key), key.shape[-1])
        query, key = rotate(query, turn[len(key) - len(query) :]), rotate(key, turn)
    query, key, value = (part.transpose(1, 2, 0, 3) for part in (query, key, value))
    scores = query @ key.transpose(0, 1, 3, 2) * np.float32(1 / np.sqrt(query.shape[-1]))
    if mask is not None:
        scores = np.where(mask[:, None] if mask.ndim == 3 else mask, scores, np.float32(-np.inf))
    output = softmax(scores) @ value
    joined: Floats = output.transpose(2, 0, 1, 3).reshape(output.shape[2], output.shape[0], -1)
    return joined


class Block:
    """The weights of one layer, and its two or three parts."""

    def __init__(self, weights: WeightFile, name: str, size: int, heads: int, *, rotary: bool, cross: bool) -> None:
        self.size, self.heads, self.rotary = size, heads, rotary
        wide = 4 * size

        def pair(part: str, *shape: int) -> tuple[Floats, Floats]:
            return weights.take(f"{name}.{part}.weight", *shape), weights.take(f"{name}.{part}.bias", shape[0])

        self.attention = (*pair("attention.input", 3 * size, size), *pair("attention.output", size, size))
        self.source_attention = (
            (*pair("source_attention.input", 3 * size, size), *pair("source_attention.output", size, size))
            if cross else None
        )  # fmt: skip
        self.linear1, self.linear2 = pair("linear1", wide, size), pair("linear2", size, wide)
        self.norms = [pair(f"norm{number}", size) for number in range(1, 4 if cross else 3)]

    def over_itself(
        self, x: Floats, past: tuple[Floats, Floats] | None, mask: NDArray[np.bool_] | None
    ) -> tuple[Floats, tuple[Floats, Floats]]:
        """x + attention over ``past`` and x; and all keys and values."""
        weight, bias, out_weight, out_bias = self.attention
        query, key, value = np.split(affine(layer_norm(x, *self.norms[0]), weight, bias), 3, -1)
        if past is not None:
            key, value = np.concatenate([past[0], key]), np.concatenate([past[1], value])
        mixed = attend(query, key, value, self.heads, mask, rotary=self.rotary)
        return x + affine(mixed, out_weight, out_bias), (key, value)

    def keys_values(self, source: Floats) -> tuple[Floats, Floats]:
        """Project a source [S, B, C] for ``over``."""
        assert self.source_attention is not None
        weight, bias, _, _ = self.source_attention
        key, value = np.split(affine(source, weight[self.size :], bias[self.size :]), 2, -1)
        return key, value

    def over(self, x: Floats, source: tuple[Floats, Floats], mask: NDArray[np.bool_] | None) -> Floats:
        """x + attention over a source."""
        assert self.source_attention is not None
        weight, bias, out_weight, out_bias = self.source_attention
        query = affine(layer_norm(x, *self.norms[1]), weight[: self.size], bias[: self.size])
        return x + affine(attend(query, *source, self.heads, mask, rotary=False), out_weight, out_bias)

    def feedforward(self, x: Floats) -> Floats:
        """x + the feed-forward part."""
        hidden = np.maximum(affine(layer_norm(x, *self.norms[-1]), *self.linear1), 0)
        return x + affine(hidden, *self.linear2)


@final
class Transformer(Body):
    """Layers of self-attention and feed-forward, with a norm before each part and after the last layer.

    The carry has the keys and values of the last span - 1 steps in each layer [P, B, hidden].
    """

    def __init__(self, description: Description, weights: WeightFile) -> None:
        self.input_size = description.size("input_size")
        self.output_size = size = description.size("hidden_size")
        self.is_causal, self._span = description.flag("causal"), description.size("span")
        heads, self._rotary = description.size("heads"), description.flag("rotary")
        if size % heads or (size // heads) % 2:
            description.refuse("heads", f"a number that divides {size} into an even size each")
        self._input = None
        if self.input_size != size:
            self._input = (
                weights.take("body.input.weight", size, self.input_size),
                weights.take("body.input.bias", size),
            )
        self._first_norm = None
        if not self._rotary:
            self._first_norm = tuple(weights.take(f"body.first_norm.{part}", size) for part in ("weight", "bias"))
        self._layers = [
            Block(weights, f"body.{number}", size, heads, rotary=self._rotary, cross=False)
            for number in range(description.size("layers"))
        ]
        self._norm = weights.take("body.norm.weight", size), weights.take("body.norm.bias", size)

    def run(self, x: Floats, carry: Carry = (), lengths: NDArray[np.int64] | None = None) -> tuple[Floats, Carry]:
        if self._input is not None:
            x = affine(x, *self._input)
        if self._first_norm is not None:
            turn = angles(len(x), self.output_size)
            positions = np.stack([np.sin(turn), np.cos(turn)], -1).reshape(len(x), 1, -1)
            x = layer_norm(x, *self._first_norm) + positions.astype(np.float32)
        if not self.is_causal:
            mask = None if lengths is None else (np.arange(len(x)) < lengths[:, None])[:, None]
            for layer in self._layers:
                x, _ = layer.over_itself(x, None, mask)
                x = layer.feedforward(x)
            return layer_norm(x, *self._norm), ()
        parts = []
        for start in range(0, len(x), self._span):  # so that the scores of a long call are not [T, T]
            part, carry = self._run_part(x[start : start + self._span], carry)
            parts.append(part)
        return layer_norm(np.concatenate(parts), *self._norm), carry

    def _run_part(self, x: Floats, carry: Carry) -> tuple[Floats, Carry]:
        """Run at most ``span`` steps from ``carry``."""
        pasts: list[Any] = list(zip(carry[::2], carry[1::2], strict=True)) if carry else [None] * len(self._layers)
        steps, before = len(x), len(carry[0]) if carry else 0
        back = np.arange(before, before + steps)[:, None] - np.arange(before + steps)
        mask = (back >= 0) & (back < self._span)
        count = min(before + steps, self._span - 1)
        after: list[NDArray[Any]] = []
        for layer, past in zip(self._layers, pasts, strict=True):
            x, keys_values = layer.over_itself(x, past, mask)
            x = layer.feedforward(x)
            after += [last_steps(part, count) for part in keys_values]
        return x, tuple(after)

    def check_carry(self, carry: Carry) -> None:
        shapes = {part.shape for part in carry}
        steps = len(carry[0]) if carry else 0
        if carry and (
            len(carry) != 2 * len(self._layers)
            or shapes != {(steps, 1, self.output_size)}
            or steps >= max(self._span, 2)
        ):
            raise DataError("snapshot: damaged (a carry of another shape)")
