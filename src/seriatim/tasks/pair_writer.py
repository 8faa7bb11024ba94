"""A network at work on encoded pairs: texts written, targets judged, alignments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from seriatim.data.buckets import token_buckets
from seriatim.decoding.beam import Hypothesis
from seriatim.decoding.sampling import sample
from seriatim.errors import UsageError
from seriatim.models.seq2seq import EncoderDecoder, padded_sources
from seriatim.notation import UNKNOWN
from seriatim.tasks.options import TranslateOptions
from seriatim.tasks.pair_reader import Examples, PairReader
from seriatim.tasks.task import GenerateRequest
from seriatim.tasks.writing import Stepper, text_scores, write

Array = np.ndarray[Any, Any]

BATCH = 64
TOKENS = 4096
VALIDATION_TEXTS = 500
"""Texts of the validation part that are written, greedily, each time."""


def written(
    network: EncoderDecoder,
    options: TranslateOptions,
    reader: PairReader,
    sources: list[Array],
    *,
    greedy: bool = False,
) -> list[list[Hypothesis]]:
    """Write for each encoded source, in batches; the best first, at least one each. ``<unk>`` is never written."""
    found: list[list[Hypothesis]] = [[] for _ in sources]
    for indices in token_buckets([len(one) for one in sources], BATCH, TOKENS, seed=None):
        hypotheses = write(
            network,
            padded_sources([sources[index] for index in indices]),
            len(indices),
            max_length=limit(options, reader),
            beam_size=1 if greedy else options.beam_size,
            n_best=1 if greedy else options.n_best,
            length_penalty=options.length_penalty,
            forbidden=(UNKNOWN,),
        )
        for index, some in zip(indices, hypotheses, strict=True):
            found[index] = some
    return found


def limit(options: TranslateOptions, reader: PairReader) -> int:
    """How many units a text may have."""
    return options.max_length or 2 * reader.longest


def nll(network: EncoderDecoder, examples: Examples) -> float:
    """Return the mean negative log-likelihood of the targets' units, their ends among them, in nats."""
    network.eval()
    total, units = 0.0, 0
    with torch.no_grad():
        for indices in token_buckets(examples.lengths, BATCH, TOKENS, seed=None):
            batch = examples.batch(indices)
            total += float(network.loss(batch, ())[0]) * batch.units
            units += batch.units
    return total / units


def validation(
    network: EncoderDecoder, options: TranslateOptions, reader: PairReader, examples: Examples
) -> dict[str, float]:
    """Judge the network, and look at what it writes."""
    some = slice(0, VALIDATION_TEXTS)
    found = written(network, options, reader, examples.sources[some], greedy=True)
    texts = [reader.text(best[0].units) for best in found]
    scores = text_scores(texts, [[text] for text in examples.references[some]])
    mean = nll(network, examples)
    return {"valid_nll": mean, "valid_perplexity": perplexity(mean)} | {
        f"valid_{name}": score for name, score in scores.items()
    }


def perplexity(nll: float) -> float:
    """Return exp of a mean negative log-likelihood."""
    return math.exp(min(nll, 700.0))


def alignment(options: TranslateOptions, reader: PairReader, source: Array, found: Hypothesis) -> dict[str, Any]:
    """Return the units of source and text, and the weights [T][S] with which the model looked at the one for the other.

    Raises ``UsageError`` for a model without attention, or with several.
    """
    if found.alignment is None:
        why = "was trained with --attention none" if options.model != "transformer" else "has many in each layer"
        raise UsageError(f"alignment: this {options.model} {why}, so there is none to show")
    order = slice(None, None, -1 if reader.reverse else 1)
    return {
        "source": [reader.source.decode([unit]).strip() or "␣" for unit in source[order].tolist()],
        "target": [reader.target.decode([unit]).strip() or "␣" for unit in found.units],
        "weights": [[round(float(weight), 5) for weight in row[: len(source)][order]] for row in found.alignment],
    }


def answer(network: EncoderDecoder, reader: PairReader, request: GenerateRequest, longest: int) -> Iterator[str]:
    """Write one text, piece by piece, each unit drawn as the request says."""
    stepper = Stepper(network)

    def step(unit: int, state: Any) -> tuple[Array, Any]:
        chances, state, _ = stepper.step(np.array([unit]), state)
        row = chances[0].astype(np.float64)
        row[UNKNOWN] = -np.inf  # <unk> says nothing
        return row, state

    units = sample(
        step,
        stepper.begin(padded_sources(reader.read([request.prompt]))),
        network.boundary,
        min(request.length, longest),
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        repetition_penalty=request.repetition_penalty,
        generator=np.random.default_rng(request.seed),
        stop=(network.boundary,),
    )
    return _pieces(reader, units)


def _pieces(reader: PairReader, units: Iterator[int]) -> Iterator[str]:
    """Turn units into text as they come; a character of several units comes out with the last of them."""
    so_far: list[int] = []
    shown = 0
    for unit in units:
        so_far.append(unit)
        text = reader.text(so_far)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            yield text[shown:]
            shown = len(text)
