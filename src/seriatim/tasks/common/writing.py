"""A network that writes texts, by beam search, and the scores of its texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray

from seriatim.decoding.beam import Hypothesis, search
from seriatim.encoding.buckets import token_buckets
from seriatim.encoding.script import Script
from seriatim.errors import UsageError
from seriatim.models.seq2seq import EncoderDecoder
from seriatim.notation import UNKNOWN
from seriatim.tasks.common.epochs import Examples, evaluation_batches
from seriatim.tasks.common.text_scores import text_scores
from seriatim.tasks.options import WritingOptions
from seriatim.tasks.task import Row, Scores

Array = np.ndarray[Any, Any]

BATCH = 64
TOKENS = 4096
VALIDATION_TEXTS = 500
"""Number of texts that are written, greedily, at each validation."""


class WritingCodec(Protocol):
    """The codec of a task that writes: it encodes the inputs, and decodes the written texts."""

    @property
    def script(self) -> Script:
        """The script of the written texts."""

    @property
    def longest(self) -> int:
        """Units of the longest text of the training part, including its end mark."""

    def input_batch(self, inputs: Sequence[Array]) -> object:
        """Make one batch of encoded inputs for the network's ``begin``."""

    def alignment_row(self, encoded: Array, weights: Array) -> Row:
        """Return attention ``weights`` [T, S] on an encoded input, as JSON values."""


class WritingPart(Examples[Any], Protocol):
    """Encoded inputs, and the reference texts of each."""

    @property
    def inputs(self) -> list[Array]: ...
    @property
    def references(self) -> list[list[str]]: ...


@final
class Stepper:
    """A network as the step function of ``decoding.beam``: it takes and returns NumPy arrays."""

    def __init__(self, network: EncoderDecoder[Any]) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def begin(self, inputs: object) -> Any:
        """Encode a batch of inputs, and return the state before the first unit."""
        return self._network.begin(inputs)

    @torch.no_grad()
    def step(
        self, tokens: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], Any, NDArray[np.float32] | None]:
        """Read one unit per row [N]; return log-probabilities [N, V + 1], the state, and attention weights [N, S]."""
        chances, state, attention = self._network.step(torch.from_numpy(tokens), state)
        return chances.numpy(), state, None if attention is None else attention.float().numpy()

    @torch.no_grad()
    def take(self, state: Any, rows: NDArray[np.int64]) -> Any:
        """Return the state of the selected ``rows``."""
        return state.take(torch.from_numpy(rows))


@final
@dataclass(frozen=True)
class Writer:
    """A trained network that writes a text for each input."""

    network: EncoderDecoder[Any]
    codec: WritingCodec
    options: WritingOptions

    @property
    def max_length(self) -> int:
        """The number of units that a text may have at most."""
        return self.options.max_length or 2 * self.codec.longest

    def write(self, inputs: Sequence[Array], *, greedy: bool = False) -> list[list[Hypothesis]]:
        """Write texts for each encoded input, at least one each, the best first. ``<unk>`` is never written."""
        result: list[list[Hypothesis]] = [[] for _ in inputs]
        stepper = Stepper(self.network)
        for indices in token_buckets([len(encoded) for encoded in inputs], BATCH, TOKENS, seed=None):
            hypotheses = search(
                stepper,
                stepper.begin(self.codec.input_batch([inputs[index] for index in indices])),
                len(indices),
                self.network.boundary,
                max_length=self.max_length,
                beam_size=1 if greedy else self.options.beam_size,
                n_best=1 if greedy else self.options.n_best,
                length_penalty=self.options.length_penalty,
                forbidden=(UNKNOWN,),
            )
            for index, texts in zip(indices, hypotheses, strict=True):
                result[index] = texts
        return result

    def rows(self, inputs: Sequence[Array]) -> Iterator[Row]:
        """Write a text for each input. Yield it, on request with the beam's other texts and the alignment.

        Raises ``UsageError`` if the alignment is requested and the network has no attention, or several.
        """
        for encoded, hypotheses in zip(inputs, self.write(inputs), strict=True):
            best = hypotheses[0]
            row: Row = {"prediction": self.codec.script.decode(best.units), "score": best.score}
            if self.options.n_best > 1:
                row["n_best"] = [
                    {"prediction": self.codec.script.decode(hypothesis.units), "score": hypothesis.score}
                    for hypothesis in hypotheses
                ]
            if self.options.alignment:
                row["alignment"] = self._alignment(encoded, best)
            yield row

    def score(self, part: WritingPart) -> Scores:
        """Score the written texts, and return the perplexity of the references too."""
        return self._text_scores(part.inputs, part.references) | {"perplexity": _perplexity(self._nll(part))}

    def validate(self, part: WritingPart) -> Scores:
        """Return the validation scores: the loss, and scores of greedily written texts."""
        first = slice(0, VALIDATION_TEXTS)
        greedy_scores = self._text_scores(part.inputs[first], part.references[first], greedy=True)
        nll = self._nll(part)
        scores = {"nll": nll, "perplexity": _perplexity(nll), **greedy_scores}
        return {f"valid_{name}": score for name, score in scores.items()}

    def _text_scores(self, inputs: list[Array], references: list[list[str]], *, greedy: bool = False) -> Scores:
        texts = [self.codec.script.decode(best.units) for best, *_ in self.write(inputs, greedy=greedy)]
        return text_scores(texts, references)

    def _nll(self, part: WritingPart) -> float:
        """Return the mean negative log-likelihood of the references' units and end marks, in nats."""
        self.network.eval()
        total, units = 0.0, 0
        with torch.no_grad():
            for batch in evaluation_batches(part, BATCH, TOKENS):
                total += float(self.network.loss(batch, ())[0]) * batch.units
                units += batch.units
        return total / units

    def _alignment(self, encoded: Array, hypothesis: Hypothesis) -> Row:
        """Return the written units, the input, and the attention weights [T][S] between them."""
        if hypothesis.alignment is None:
            is_transformer = self.options.model == "transformer"
            reason = "has many in each layer" if is_transformer else "was trained with --attention none"
            raise UsageError(f"alignment: this {self.options.model} {reason}, so there is none to show")
        row = {"target": self.codec.script.visible_units(hypothesis.units)}
        return row | self.codec.alignment_row(encoded, hypothesis.alignment)


def check_writing_options(options: WritingOptions) -> None:
    """Refuse options of writing that contradict each other. Raises ``UsageError``."""
    if options.n_best > options.beam_size:
        raise UsageError(
            f"n_best: got {options.n_best}, wanted at most the beam's size ({options.beam_size}, --beam-size)"
        )
    if options.convolution > 1:
        raise UsageError("convolution: not for tasks with a decoder, which would begin with the encoder's inputs")


def text_csv_rows(row: Row, input_name: str) -> Iterator[Row]:
    """Yield a CSV row for each text of ``row``, with the input ``row[input_name]``. The alignment is left out."""
    shared = {name: row[name] for name in ("row", input_name)}
    for rank, text in enumerate(row.get("n_best", [row]), 1):
        values = {name: text[name] for name in ("prediction", "score") if name in text}
        yield shared | ({"rank": rank} if "n_best" in row else {}) | values


def _perplexity(nll: float) -> float:
    return math.exp(min(nll, 700.0))
