"""Describes the body of a network, and collects its weights under the names of the runtime folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.models.convolution import TemporalConvolution
from seriatim.models.feedforward import FeedForward
from seriatim.models.recurrent import Stack
from seriatim.models.transformer import Transformer
from seriatim.nn.blocks import Blocks, FeedForwardPart
from seriatim.nn.convolution import ResidualBlock
from seriatim.nn.recurrent import RecurrentLayer, gather
from seriatim.nn.short_convolution import ShortConvolution
from seriatim.nn.stacking import Highway, Stacked
from seriatim.nn.transformer import EncoderLayer, MultiHeadAttention

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Described = tuple[dict[str, Any], Arrays]
"""The description as JSON values, and the weights."""


def describe_body(body: nn.Module) -> Described:
    """Describe a body. Raises ``UsageError`` for cells of the user's own."""
    describers: Mapping[type, Callable[[Any], Described]] = {
        Stack: _recurrent, Transformer: _transformer, TemporalConvolution: _convolution, FeedForward: _feedforward
    }  # fmt: skip
    return describers[type(body)](body)


def array(tensor: Tensor) -> Array:
    """The values of a tensor, contiguous."""
    result: Array = np.ascontiguousarray(tensor.detach().cpu().numpy())
    return result


def affine(name: str, layer: nn.Linear | nn.LayerNorm | ShortConvolution) -> Arrays:
    """The weight and the bias of a layer."""
    return {f"{name}.weight": array(layer.weight), f"{name}.bias": array(layer.bias)}


def attention(name: str, module: MultiHeadAttention) -> Arrays:
    """The weights of multi-head attention."""
    inputs = {f"{name}.input.weight": array(module.in_proj_weight), f"{name}.input.bias": array(module.in_proj_bias)}
    return inputs | affine(f"{name}.output", module.out_proj)


def describe_layers(layers: nn.Module, prefix: str = "body") -> Described:
    """Describe recurrent layers: one module with all of them, or a stack with connections."""
    stacked = list(layers.layers) if isinstance(layers, (Stacked, Blocks)) else [layers]
    recurrent = [layer for layer in stacked if isinstance(layer, RecurrentLayer)]
    if len(recurrent) < len(stacked):
        raise UsageError("export: a cell of your own has no runtime; only seriatim's cells can be exported")
    entries: list[dict[str, Any]] = []
    arrays: Arrays = {}
    for layer in recurrent:
        rates = list(map(float, layer._zoneout_rates))
        names = iter(layer._names)
        for spec in layer._specs:
            for direction in ("forward", "backward")[: 2 if layer.bidirectional else 1]:
                weights = gather(layer, next(names))
                arrays |= {
                    f"{prefix}.{len(entries)}.{direction}.{field.name}": array(getattr(weights, field.name))
                    for field in dataclasses.fields(weights)
                    if getattr(weights, field.name) is not None
                }
            entries.append({"cell": dataclasses.asdict(spec), "zoneout": rates if any(rates) else []})
    connection = layers.connection if isinstance(layers, Stacked) else "none"
    block: dict[str, Any] = {}
    if isinstance(layers, Blocks):
        connection, block = "block", {"width": layers.output_size}
        if layers.convolutions:
            convolution = layers.convolutions[0]
            assert isinstance(convolution, ShortConvolution)
            block["convolution"] = convolution.steps
        arrays |= _blocks(layers, prefix)
    if isinstance(layers, Stacked):
        for number, way in enumerate(layers.connections, 1):
            if isinstance(way, Highway):
                arrays |= affine(f"{prefix}.{number}.transform", way.transform)
    description = {
        "type": "recurrent", "input_size": layers.input_size, "bidirectional": recurrent[0].bidirectional,
        "connection": connection, **block, "layers": entries,
    }  # fmt: skip
    return description, arrays


def _blocks(layers: Blocks, prefix: str) -> Arrays:
    """The weights around the layers of residual blocks."""
    arrays = affine(f"{prefix}.norm", layers.norm)
    if isinstance(layers.input, nn.Linear):
        arrays |= affine(f"{prefix}.input", layers.input)
    for number, (norm, part) in enumerate(zip(layers.norms, layers.parts, strict=True)):
        assert isinstance(norm, nn.LayerNorm) and isinstance(part, FeedForwardPart)
        arrays |= affine(f"{prefix}.{number}.norm1", norm) | affine(f"{prefix}.{number}.norm2", part.norm)
        arrays |= affine(f"{prefix}.{number}.linear1", part.linear1)
        arrays |= affine(f"{prefix}.{number}.linear2", part.linear2)
    for number, convolution in enumerate(layers.convolutions):
        assert isinstance(convolution, ShortConvolution)
        arrays |= affine(f"{prefix}.{number}.convolution", convolution)
    return arrays


def _recurrent(body: Stack) -> Described:
    return describe_layers(body.layers)


def _transformer(body: Transformer) -> Described:
    layers = list(body.layers)
    first = layers[0]
    assert isinstance(first, EncoderLayer)
    input_size = body.input.in_features if isinstance(body.input, nn.Linear) else body.output_size
    description = {
        "type": "transformer", "input_size": input_size, "hidden_size": body.output_size, "layers": len(layers),
        "heads": first.self_attn.heads, "rotary": first.self_attn.rotary, "span": body.span, "causal": body.causal,
    }  # fmt: skip
    arrays = affine("body.norm", body.norm)
    if isinstance(body.input, nn.Linear):
        arrays |= affine("body.input", body.input)
    if isinstance(body.positions, nn.Sequential):
        norm = body.positions[0]
        assert isinstance(norm, nn.LayerNorm)
        arrays |= affine("body.first_norm", norm)
    for number, layer in enumerate(layers):
        assert isinstance(layer, EncoderLayer)
        arrays |= encoder_layer(f"body.{number}", layer)
    return description, arrays


def encoder_layer(name: str, layer: Any) -> Arrays:
    """The weights of a layer of a Transformer, without attention over a source."""
    arrays = attention(f"{name}.attention", layer.self_attn)
    for part in ("linear1", "linear2", "norm1", "norm2"):
        arrays |= affine(f"{name}.{part}", getattr(layer, part))
    return arrays


def _convolution(body: TemporalConvolution) -> Described:
    arrays: Arrays = {}
    for number, block in enumerate(body.blocks):
        assert isinstance(block, ResidualBlock)
        for part in ("first", "second"):
            layer = getattr(block, part)
            arrays |= {
                f"body.{number}.{part}.weight": array(layer.weight),
                f"body.{number}.{part}.bias": array(layer.bias),
            }
        if isinstance(block.straight, nn.Linear):
            arrays |= affine(f"body.{number}.straight", block.straight)
    first = body.blocks[0]
    assert isinstance(first, ResidualBlock)
    _, kernel, input_size = first.first.weight.shape
    description = {
        "type": "convolution", "input_size": input_size, "hidden_size": body.output_size, "layers": len(body.blocks),
        "kernel": kernel, "causal": body.causal,
    }  # fmt: skip
    return description, arrays


def _feedforward(body: FeedForward) -> Described:
    affines = [layer for layer in body.layers.modules() if isinstance(layer, nn.Linear)]
    arrays: Arrays = {}
    for number, layer in enumerate(affines):
        arrays |= affine(f"body.{number}", layer)
    description = {
        "type": "feedforward", "input_size": affines[0].in_features, "hidden_size": body.output_size,
        "layers": len(affines),
    }  # fmt: skip
    return description, arrays
