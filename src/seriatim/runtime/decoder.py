"""The decoders of models that write a text for each input: recurrent, and Transformer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, RunError
from seriatim.runtime.arithmetic import Floats, affine, layer_norm, log_softmax, softmax
from seriatim.runtime.body import Carry
from seriatim.runtime.connections import Connection, read_connection
from seriatim.runtime.description import Description
from seriatim.runtime.recurrent import CONNECTIONS, Recurrent
from seriatim.runtime.transformer import Block, angles
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]
ATTENTIONS: Final = {name: name for name in ("none", "dot", "general", "concat", "additive")}


@dataclass(frozen=True)
class Memory:
    """The encoded input of B rows."""

    context: Floats
    """[B, C]"""
    states: Floats
    """[S, B, M]"""
    lengths: NDArray[np.int64]
    """[B]"""


class Decoder(ABC):
    """Reads one unit of each row and returns the log-probabilities of the next, as ``decoding.beam`` wants it."""

    boundary: int
    """The id before the first unit and after the last: the number of units of the vocabulary."""

    @abstractmethod
    def begin(self, memory: Memory) -> Any:
        """Return the state before the first unit."""

    @abstractmethod
    def step(self, tokens: NDArray[np.int64], state: Any, /) -> tuple[Array, Any, Floats | None]:
        """Read ``tokens`` [B]; return log-probabilities [B, V + 1], the state, and attention weights [B, S]."""

    @abstractmethod
    def take(self, state: Any, rows: NDArray[np.int64], /) -> Any:
        """Return the state of ``rows``."""

    @abstractmethod
    def to_arrays(self, state: Any, /) -> dict[str, Array]:
        """Return a state as arrays by name, for a snapshot."""

    @abstractmethod
    def from_arrays(self, arrays: Mapping[str, Array], /) -> Any:
        """Return the state of ``to_arrays``."""

    def check_arrays(self, arrays: Mapping[str, Array], like: Mapping[str, Array]) -> None:
        """Raise ``DataError`` for arrays that are not those of a state. ``like`` are those of another state.

        Only the number of steps of the source and of the units that were read may differ.
        """
        if set(arrays) != set(like):
            raise DataError("snapshot: damaged (arrays of another decoder)")
        steps: dict[str, set[int]] = {}
        for name, array in arrays.items():
            group, axis = self.step_axis(name)
            expected, shape = list(like[name].shape), list(array.shape)
            if array.dtype != like[name].dtype or len(shape) != len(expected):
                raise DataError(f"snapshot: damaged ('{name}')")
            if axis is not None:
                steps.setdefault(group, set()).add(shape.pop(axis))
                expected.pop(axis)
            if shape != expected:
                raise DataError(f"snapshot: damaged ('{name}')")
        if any(len(counts) > 1 or 0 in counts for counts in steps.values()):
            raise DataError("snapshot: damaged (arrays of different steps)")

    @abstractmethod
    def step_axis(self, name: str) -> tuple[str, int | None]:
        """Return the group of arrays with equal numbers of steps that ``name`` is in, and its axis of steps."""


class Output:
    """The embedding of the written units, and the layer from readouts to log-probabilities."""

    def __init__(self, part: Description, weights: WeightFile, units: int, readout: int) -> None:
        width = part.size("embedding_size")
        self.embedding = weights.take("decoder.embedding", units + 1, width)
        self._project = None
        if part.flag("tied"):
            if readout != width:
                self._project = weights.take("decoder.project.weight", width, readout)
            self._weight = self.embedding
        else:
            self._weight = weights.take("head.weight", units + 1, readout)
        self._bias = weights.take("head.bias", units + 1)

    def chances(self, readout: Floats) -> Array:
        """Map readouts [B, R] to log-probabilities [B, V + 1]."""
        readout = readout if self._project is None else affine(readout, self._project, None)
        return log_softmax(affine(readout, self._weight, self._bias))


@dataclass(frozen=True)
class RecurrentState:
    """The state of a recurrent decoder in B rows."""

    memory: Memory
    keys: Floats | None
    layers: tuple[Carry, ...]


@final
class RecurrentDecoder(Decoder):
    """Embedding → recurrent layers → (attention) → affine → softmax, from a context (Sutskever 2014)."""

    def __init__(self, part: Description, weights: WeightFile, units: int) -> None:
        self.boundary = units
        context, memory = part.size("context_size"), part.size("memory_size")
        self._is_peeky = part.flag("peeky")
        peek = context if self._is_peeky else 0
        self._layers: list[Recurrent] = []
        self._connections: list[Connection] = []
        connection = part.choice("connection", CONNECTIONS)
        for number, layer in enumerate(part.parts("layers")):
            layer.text("type")
            self._layers.append(Recurrent(layer, weights, f"decoder.{number}"))
            layer.done()
            width = self._layers[-1].output_size
            self._connections.append(read_connection(connection, number, weights, f"decoder.{number}", width))
        if not self._layers or not all(layer.is_causal for layer in self._layers):
            raise RunError(f"{part.place}: no layers, or layers that read from the end")
        hidden = self._layers[0].output_size
        self._starts = part.texts("started")
        """The states that start from the context, in order."""
        self._names, self._sizes = part.texts("states"), self._layers[0].state_sizes
        if len(self._names) != len(self._sizes) or not set(self._starts) <= set(self._names):
            part.refuse("states", f"{len(self._sizes)} names")
        self._bridge = None
        if part.flag("bridge"):
            sizes = sum(size for name, size in zip(self._names, self._sizes, strict=True) if name in self._starts)
            total = len(self._layers) * sizes
            self._bridge = (
                weights.take("decoder.bridge.weight", total, context),
                weights.take("decoder.bridge.bias", total),
            )
        self._attention = part.choice("attention", ATTENTIONS)
        if self._attention != "none":
            self._combine = weights.take("decoder.combine.weight", hidden, memory + hidden)
        if self._attention == "general":
            self._general = weights.take("decoder.attention.weight", hidden, memory)
        if self._attention in ("concat", "additive"):
            self._of_query = weights.take("decoder.attention.of_query", hidden, hidden)
            self._of_memory = weights.take("decoder.attention.of_memory", hidden, memory)
            self._of_bias = weights.take("decoder.attention.bias", hidden) if self._attention == "additive" else None
            self._score = weights.take("decoder.attention.score", 1, hidden)
        self._output = Output(part, weights, units, hidden + peek)
        widths = [self._output.embedding.shape[1], *[layer.output_size for layer in self._layers[:-1]]]
        if [layer.input_size for layer in self._layers] != [width + peek for width in widths]:
            raise RunError(f"{part.place}: layers of other widths than their inputs")

    def begin(self, memory: Memory) -> RecurrentState:
        keys = None
        if self._attention == "dot":
            keys = memory.states
        elif self._attention == "general":
            keys = affine(memory.states, self._general, None)
        elif self._attention != "none":
            keys = affine(memory.states, self._of_memory, self._of_bias)
        return RecurrentState(memory, keys, self._first_layers(memory.context))

    def _first_layers(self, context: Floats) -> tuple[Carry, ...]:
        """Return the first state of each layer, from the context."""
        zeros = [np.zeros((1, len(context), size), np.float32) for size in self._sizes]
        if self._bridge is None:
            return (
                tuple(context[None] if name == "h" else part for name, part in zip(self._names, zeros, strict=True)),
            )
        parts = np.split(affine(context, *self._bridge), len(self._layers), -1)
        carries = []
        for part in parts:
            carry, place = [], 0
            for name, size, zero in zip(self._names, self._sizes, zeros, strict=True):
                if name not in self._starts:
                    carry.append(zero)
                    continue
                value = part[None, :, place : place + size]
                carry.append(np.tanh(value) if name == "h" else np.ascontiguousarray(value))
                place += size
            carries.append(tuple(carry))
        return tuple(carries)

    def step(self, tokens: NDArray[np.int64], state: RecurrentState, /) -> tuple[Array, RecurrentState, Floats | None]:
        peek = state.memory.context if self._is_peeky else None
        x = self._output.embedding[tokens]
        carries = []
        for layer, connection, carry in zip(self._layers, self._connections, state.layers, strict=True):
            output, after = layer.run(_joined(x, peek)[None], carry)
            x = connection.leave(x, output[0])
            carries.append(after)
        alignment = None
        if state.keys is not None:
            alignment = self._weights_of(x, state.keys, state.memory.lengths)
            attended = np.einsum("bs,sbm->bm", alignment, state.memory.states)
            x = np.tanh(affine(np.concatenate([attended, x], -1), self._combine, None))
        return self._output.chances(_joined(x, peek)), replace(state, layers=tuple(carries)), alignment

    def to_arrays(self, state: RecurrentState, /) -> dict[str, Array]:
        memory = state.memory
        arrays: dict[str, Array] = {"context": memory.context, "memory": memory.states, "lengths": memory.lengths}
        if state.keys is not None:
            arrays["keys"] = state.keys
        for number, carry in enumerate(state.layers):
            arrays |= {f"layer.{number}.{place}": part for place, part in enumerate(carry)}
        return arrays

    def from_arrays(self, arrays: Mapping[str, Array], /) -> RecurrentState:
        memory = Memory(arrays["context"], arrays["memory"], arrays["lengths"])
        places = range(len(self._sizes))
        layers = tuple(
            tuple(arrays[f"layer.{number}.{place}"] for place in places) for number in range(len(self._layers))
        )
        return RecurrentState(memory, arrays.get("keys"), layers)

    def step_axis(self, name: str) -> tuple[str, int | None]:
        return "source", 0 if name in ("memory", "keys") else None

    def _weights_of(self, query: Floats, keys: Floats, lengths: NDArray[np.int64]) -> Floats:
        """Return the attention weights [B, S]."""
        if self._attention in ("dot", "general"):
            scores = np.einsum("bh,sbh->bs", query, keys)
        else:
            scores = affine(np.tanh(affine(query, self._of_query, None) + keys), self._score, None)[..., 0].T
        beyond = np.arange(len(keys)) >= lengths[:, None]
        weights: Floats = softmax(np.where(beyond, np.float32(-np.inf), scores))
        return weights

    def take(self, state: RecurrentState, rows: NDArray[np.int64], /) -> RecurrentState:
        memory = state.memory
        taken = Memory(memory.context[rows], memory.states[:, rows], memory.lengths[rows])
        layers = tuple(tuple(part[:, rows] for part in carry) for carry in state.layers)
        return RecurrentState(taken, None if state.keys is None else state.keys[:, rows], layers)


@dataclass(frozen=True)
class TransformerState:
    """The state of a Transformer's decoder in B rows."""

    sources: tuple[tuple[Floats, Floats], ...]
    mask: NDArray[np.bool_]
    """[B, 1, S]"""
    past: tuple[tuple[Floats, Floats], ...]


@final
class TransformerDecoder(Decoder):
    """Embedding → layers that attend to the units so far and to the source → affine → softmax."""

    def __init__(self, part: Description, weights: WeightFile, units: int) -> None:
        self.boundary, self._size = units, part.size("hidden_size")
        heads, self._rotary, size = part.size("heads"), part.flag("rotary"), self._size
        if size % heads or (size // heads) % 2 or part.size("memory_size") != size:
            part.refuse("heads", f"a number that divides {size} into an even size each")
        self._layers = [
            Block(weights, f"decoder.{number}", size, heads, rotary=self._rotary, cross=True)
            for number in range(part.size("layers"))
        ]
        self._output = Output(part, weights, units, size)
        width = self._output.embedding.shape[1]
        self._input = None
        if width != size:
            self._input = weights.take("decoder.input.weight", size, width), weights.take("decoder.input.bias", size)
        self._scale = None
        if not self._rotary:
            self._scale = weights.take("decoder.first_norm.weight", size), weights.take("decoder.first_norm.bias", size)
        self._norm = weights.take("decoder.norm.weight", size), weights.take("decoder.norm.bias", size)

    def begin(self, memory: Memory) -> TransformerState:
        sources = tuple(layer.keys_values(memory.states) for layer in self._layers)
        return TransformerState(sources, (np.arange(len(memory.states)) < memory.lengths[:, None])[:, None], ())

    def step(self, tokens: NDArray[np.int64], state: TransformerState, /) -> tuple[Array, TransformerState, None]:
        x = self._output.embedding[tokens][None]
        x = x if self._input is None else affine(x, *self._input)
        if self._scale is not None:
            position = len(state.past[0][0]) if state.past else 0
            turn = angles(position + 1, self._size)[-1:]
            places = np.stack([np.sin(turn), np.cos(turn)], -1).reshape(1, 1, -1)
            x = layer_norm(x, *self._scale) + places.astype(np.float32)
        after = []
        for number, (layer, source) in enumerate(zip(self._layers, state.sources, strict=True)):
            x, keys_values = layer.over_itself(x, state.past[number] if state.past else None, None)
            x = layer.feedforward(layer.over(x, source, state.mask))
            after.append(keys_values)
        return self._output.chances(layer_norm(x[0], *self._norm)), replace(state, past=tuple(after)), None

    def take(self, state: TransformerState, rows: NDArray[np.int64], /) -> TransformerState:
        sources, past = (
            tuple((keys[:, rows], values[:, rows]) for keys, values in layers) for layers in (state.sources, state.past)
        )
        return TransformerState(sources, state.mask[rows], past)

    def to_arrays(self, state: TransformerState, /) -> dict[str, Array]:
        arrays: dict[str, Array] = {"mask": state.mask}
        for name, pairs in (("source", state.sources), ("past", state.past)):
            for number, (keys, values) in enumerate(pairs):
                arrays |= {f"{name}.{number}.keys": keys, f"{name}.{number}.values": values}
        return arrays

    def from_arrays(self, arrays: Mapping[str, Array], /) -> TransformerState:
        count = range(len(self._layers))
        sources = tuple(_pair(arrays, f"source.{number}") for number in count)
        past = tuple(_pair(arrays, f"past.{number}") for number in count) if "past.0.keys" in arrays else ()
        return TransformerState(sources, arrays["mask"], past)

    def step_axis(self, name: str) -> tuple[str, int | None]:
        return name.split(".")[0].replace("mask", "source"), 2 if name == "mask" else 0


def _pair(arrays: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    return arrays[f"{name}.keys"], arrays[f"{name}.values"]


def read_decoder(network: Description, weights: WeightFile, units: int) -> tuple[Decoder, Description]:
    """Read the decoder of a network that writes ``units`` different units."""
    part = network.part("decoder")
    kinds: dict[str, type[RecurrentDecoder] | type[TransformerDecoder]] = {
        "recurrent": RecurrentDecoder, "transformer": TransformerDecoder
    }  # fmt: skip
    decoder = part.choice("type", kinds)(part, weights, units)
    return decoder, part


def _joined(x: Floats, peek: Floats | None) -> Floats:
    return x if peek is None else np.concatenate([x, peek], -1)
