"""Describes the networks that write a text for each input."""

from __future__ import annotations

from typing import Any

from torch import nn

from seriatim.export.bodies import (
    Arrays,
    Described,
    affine,
    array,
    attention,
    describe_body,
    describe_layers,
    encoder_layer,
)
from seriatim.models.captioner import Captioner, Convolutions, Features
from seriatim.models.decoder import RecurrentDecoder
from seriatim.models.recurrent import Stack
from seriatim.models.seq2seq import RecurrentSeq2Seq
from seriatim.models.transformer_seq2seq import TransformerSeq2Seq
from seriatim.nn.attention import Additive, Dot, General
from seriatim.nn.stacking import Highway
from seriatim.nn.transformer import DecoderLayer


def describe_translator(model: RecurrentSeq2Seq) -> Described:
    """Describe a recurrent encoder and decoder."""
    body, arrays = describe_body(model.encoder)
    size = model.encoder.output_size
    decoder, decoder_arrays = _decoder(model.decoder, size, size)
    arrays |= decoder_arrays | {"embedding": array(model.embeddings.weight)}
    return {"embedding_size": model.embeddings.embedding_dim, "body": body, "decoder": decoder}, arrays


def describe_transformer(model: TransformerSeq2Seq) -> Described:
    """Describe a Transformer's encoder and decoder."""
    body, arrays = describe_body(model.encoder)
    first = model.layers[0]
    assert isinstance(first, DecoderLayer)
    size = first.self_attn.size
    decoder = {
        "type": "transformer", "hidden_size": size, "memory_size": size, "context_size": size,
        "layers": len(model.layers), "heads": first.self_attn.heads, "rotary": first.self_attn.rotary,
        "embedding_size": model.embedding.embedding_dim, "tied": model.output is None,
    }  # fmt: skip
    for number, layer in enumerate(model.layers):
        assert isinstance(layer, DecoderLayer)
        name = f"decoder.{number}"
        arrays |= encoder_layer(name, layer) | affine(f"{name}.norm3", layer.norm3)
        arrays |= attention(f"{name}.source_attention", layer.multihead_attn)
    arrays |= affine("decoder.norm", model.norm)
    if isinstance(model.input, nn.Linear):
        arrays |= affine("decoder.input", model.input)
    if isinstance(model.scale, nn.LayerNorm):
        arrays |= affine("decoder.first_norm", model.scale)
    arrays |= _output(model) | {"embedding": array(model.embeddings.weight)}
    return {"embedding_size": model.embeddings.embedding_dim, "body": body, "decoder": decoder}, arrays


def describe_captioner(model: Captioner) -> Described:
    """Describe a network of pictures and its decoder."""
    arrays: Arrays = {}
    encoder = model.encoder
    if isinstance(encoder, Convolutions):
        pictures: dict[str, Any] = {"type": "convolutions", "widths": [], "strides": []}
        for number, stage in enumerate(encoder.stages):
            parts: Any = stage
            pictures["widths"].append(parts.enter.out_channels)
            pictures["strides"].append(parts.enter.stride[0])
            for name in ("enter", "stay"):
                arrays[f"pictures.{number}.{name}.weight"] = array(getattr(parts, name).weight)
            for name in ("first", "second"):
                arrays |= _batch_norm(f"pictures.{number}.{name}", getattr(parts, name))
    else:
        assert isinstance(encoder, Features)
        pictures = {"type": "features", "width": encoder.size}
        arrays |= affine("pictures", encoder.affine)
    hidden = model.region.out_features
    context: Any = model.context
    arrays |= affine("region", model.region) | {"context.weight": array(context[0].weight)}
    arrays |= _batch_norm("context.norm", context[1].norm)
    decoder, decoder_arrays = _decoder(model.decoder, hidden, hidden)
    return {"hidden_size": hidden, "pictures": pictures, "decoder": decoder}, arrays | decoder_arrays


def _decoder(model: RecurrentDecoder, context: int, memory: int) -> Described:
    layers = []
    arrays: Arrays = {}
    for number, stack in enumerate(model.layers):
        assert isinstance(stack, Stack)
        layer, layer_arrays = describe_layers(stack.layers, f"decoder.{number}")
        layers.append(layer)
        arrays |= layer_arrays
    connection = "none"
    for number, way in enumerate(model.connections, 1):
        connection = "highway" if isinstance(way, Highway) else "residual"
        if isinstance(way, Highway):
            arrays |= affine(f"decoder.{number}.transform", way.transform)
    bridge = model.bridge
    if bridge.affine is not None:
        arrays |= affine("decoder.bridge", bridge.affine)
    score = model.attention
    name = "none"
    if score is not None:
        arrays["decoder.combine.weight"] = array(model.combine.weight)
        name = {Dot: "dot", General: "general"}.get(type(score), "")
    if isinstance(score, General):
        arrays["decoder.attention.weight"] = array(score.weight.weight)
    if isinstance(score, Additive):
        name = "concat" if score.of_memory.bias is None else "additive"
        arrays["decoder.attention.of_query"] = array(score.of_query.weight)
        arrays["decoder.attention.of_memory"] = array(score.of_memory.weight)
        arrays["decoder.attention.score"] = array(score.score.weight)
        if score.of_memory.bias is not None:
            arrays["decoder.attention.bias"] = array(score.of_memory.bias)
    description = {
        "type": "recurrent", "embedding_size": model.embedding.embedding_dim, "context_size": context,
        "memory_size": memory, "peeky": model.peeky, "attention": name, "tied": model.output is None,
        "connection": connection, "layers": layers, "bridge": bridge.affine is not None, "states": list(bridge.sizes),
        "started": list(bridge.started),
    }  # fmt: skip
    return description, arrays | _output(model)


def _output(model: RecurrentDecoder | TransformerSeq2Seq) -> Arrays:
    arrays = {"decoder.embedding": array(model.embedding.weight)}
    if isinstance(model.project, nn.Linear):
        arrays["decoder.project.weight"] = array(model.project.weight)
    if model.output is not None:
        return arrays | affine("head", model.output)
    assert model.output_bias is not None
    return arrays | {"head.bias": array(model.output_bias)}


def _batch_norm(name: str, norm: nn.Module) -> Arrays:
    parts: Any = norm
    arrays = {"weight": parts.weight, "bias": parts.bias, "mean": parts.running_mean, "variance": parts.running_var}
    return {f"{name}.{part}": array(values) for part, values in arrays.items()}
