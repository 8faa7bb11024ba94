"""A network of whole sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.buckets import pad, token_buckets
from seriatim.encoding.subwords import words_of
from seriatim.errors import DataError
from seriatim.runtime.arithmetic import POOLINGS, Floats, affine, affine_rows
from seriatim.runtime.bodies import read_body
from seriatim.runtime.branch import ConvolutionalBranch
from seriatim.runtime.description import Description
from seriatim.runtime.sequence_inputs import SequenceInputs
from seriatim.runtime.state import State
from seriatim.runtime.subwords import SubwordVectors, read_subwords
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]

BATCH: Final = 64
TOKENS: Final = 16_384


@final
class SequenceNetwork:
    """Embedding or channels → body → pooled output → affine.

    A bag has no body: it pools the inputs. A branch reads the same inputs beside the body, and the affine map reads the
    outputs of both.
    """

    def __init__(self, description: Description, weights: WeightFile, inputs: SequenceInputs, outputs: int) -> None:
        network = description.part("network")
        self.embedding: Floats | None = None
        self._subwords: SubwordVectors | None = None
        width = inputs.channels
        if inputs.vocabulary is not None:
            width = network.size("embedding_size")
            self.embedding = weights.take("embedding", len(inputs.vocabulary), width)
            self._subwords = read_subwords(network, weights, inputs.subwords, width)
            if self._subwords is not None:
                self.embedding = self._subwords.added_to(self.embedding, inputs.vocabulary.tokens)
        self.body = read_body(network, weights, width) if network.has("body") else None
        self.pool_name = network.text("pool")
        self._pool = network.choice("pool", POOLINGS)
        size = width if self.body is None else self.body.output_size
        self.branch = None
        if network.has("branch"):
            self.branch = ConvolutionalBranch(network.part("branch"), weights, width)
            size += self.branch.output_size
        self.head = weights.take("head.weight", outputs, size), weights.take("head.bias", outputs)
        network.done()

    @property
    def is_causal(self) -> bool:
        """Whether a stream can be read."""
        return self.branch is None and (self.body is None or self.body.is_causal)

    def run(self, sequences: list[Array], raw: Sequence[Any]) -> Array:
        """Return the outputs of each encoded sequence, [N, K] float64; ``raw`` are their texts, if they are texts."""
        result = np.zeros((len(sequences), len(self.head[1])))
        for indices in token_buckets(list(map(len, sequences)), BATCH, TOKENS, seed=None):
            padded, lengths = pad([sequences[index] for index in indices], 0)
            vectors = self.vectors(padded)
            if self._subwords is not None:
                for row, index in enumerate(indices):
                    ids = padded[: lengths[row], row]
                    self._subwords.add_to_unknown(vectors[:, row], ids, words_of(raw[index]))
            x, directions = vectors, 1
            if self.body is not None:
                x, _ = self.body.run(vectors, (), lengths)
                directions = self.body.directions
            pooled = self._pool(x, lengths, directions)
            if self.branch is not None:
                pooled = np.concatenate([pooled, self.branch.run(vectors, lengths)], -1)
            result[indices] = affine(pooled, *self.head)
        return result

    def step_rows(self, states: Sequence[State], steps: Sequence[Any]) -> None:
        """Read one encoded step in each state, and update what is pooled."""
        x = self.vectors(np.stack([np.asarray(step) for step in steps]))
        carries = [state.carry for state in states]
        output, carries = (x, carries) if self.body is None else self.body.step_rows(x, carries)
        for row, (state, carry) in enumerate(zip(states, carries, strict=True)):
            state.carry, state.position = carry, state.position + 1
            value = output[row : row + 1].copy()
            if self.pool_name != "last":
                value = value.astype(np.float64)
                if "pooled" in state.arrays:
                    past = state.arrays["pooled"]
                    value = past + value if self.pool_name == "mean" else np.maximum(past, value)
            state.arrays["pooled"] = value

    def outputs(self, states: Sequence[State]) -> Array:
        """Return the outputs of the sequences so far, [B, K] float64; each has at least one step."""
        counts = np.array([state.position for state in states])[:, None]
        pooled = np.concatenate([state.arrays["pooled"] for state in states])
        pooled = pooled / counts if self.pool_name == "mean" else pooled
        return affine_rows(pooled.astype(np.float32), *self.head).astype(np.float64)

    def check_state(self, state: State) -> None:
        """Raise ``DataError`` for a state that this network cannot have."""
        if self.body is not None:
            self.body.check_carry(state.carry)
        width = self.head[0].shape[1]
        pooled = state.arrays.get("pooled")
        if (pooled is None) != (state.position == 0) or (pooled is not None and pooled.shape != (1, width)):
            raise DataError("snapshot: damaged ('pooled')")

    def read_step(self, step: Any, x: Any) -> Any:
        """Return what a stream reads for the encoded ``step``: itself, or the vectors of the words of the text ``x``.

        The state has no texts, from which the n-grams of unknown words could be taken later.
        """
        if self._subwords is None:
            return step
        vectors = self.vectors(step)
        self._subwords.add_to_unknown(vectors, step, words_of(x))
        return vectors

    def vectors(self, steps: Array) -> Array:
        """Return the vectors of units [...], or numbers and vectors as they are."""
        if self.embedding is None or np.issubdtype(steps.dtype, np.floating):
            return steps.astype(np.float32, copy=False)
        return self.embedding[steps]
