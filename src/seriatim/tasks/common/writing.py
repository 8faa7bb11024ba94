"""What tasks that write texts share: a network that writes and is judged by what it wrote, and scores of texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray

from seriatim.data.buckets import token_buckets
from seriatim.decoding.beam import Hypothesis, search
from seriatim.encoding.script import Script
from seriatim.errors import UsageError
from seriatim.models.seq2seq import EncoderDecoder
from seriatim.notation import UNKNOWN
from seriatim.tasks.common.epochs import Batched, in_order
from seriatim.tasks.options import WritingOptions
from seriatim.tasks.task import Row, Scores

Array = np.ndarray[Any, Any]

BATCH = 64
TOKENS = 4096
VALIDATION_TEXTS = 500
"""Texts of the validation part that are written, greedily, each time."""


class Reader(Protocol):
    """What encodes that which is shown, and decodes what is written."""

    @property
    def script(self) -> Script:
        """Of what is written."""

    @property
    def longest(self) -> int:
        """Units of the longest text of the training part, its end counted."""

    def shown(self, inputs: Sequence[Array]) -> object:
        """Make one batch of encoded inputs, as the network's ``begin`` takes it."""

    def looked(self, given: Array, weights: Array) -> dict[str, Any]:
        """Tell what ``weights`` [T, S] of attention are of, besides the units that were written."""


class Examples(Batched[Any], Protocol):
    """Encoded inputs, and what is to be written of each."""

    @property
    def inputs(self) -> list[Array]: ...
    @property
    def references(self) -> list[list[str]]: ...


@final
class Stepper:
    """A network as the step function that ``decoding.beam`` runs: NumPy outside, tensors inside."""

    def __init__(self, network: EncoderDecoder[Any]) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def begin(self, sources: object) -> Any:
        """Encode a batch of sources; return the state before the first unit."""
        return self._network.begin(sources)

    @torch.no_grad()
    def step(
        self, tokens: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], Any, NDArray[np.float32] | None]:
        """Read a unit each [N]; return log-probabilities [N, V + 1], the state, and where it looked [N, S]."""
        chances, state, looked = self._network.step(torch.from_numpy(tokens), state)
        return chances.numpy(), state, None if looked is None else looked.float().numpy()

    @torch.no_grad()
    def take(self, state: Any, rows: NDArray[np.int64]) -> Any:
        """Return the state of ``rows``."""
        return state.take(torch.from_numpy(rows))


@final
@dataclass(frozen=True)
class Writer:
    """A network that writes a text for each thing that it is shown."""

    network: EncoderDecoder[Any]
    reader: Reader
    options: WritingOptions

    @property
    def most(self) -> int:
        """Units that a text may have."""
        return self.options.max_length or 2 * self.reader.longest

    def write(self, inputs: Sequence[Array], *, greedy: bool = False) -> list[list[Hypothesis]]:
        """Write for each encoded input, in batches; the best first, at least one each. ``<unk>`` is never written."""
        found: list[list[Hypothesis]] = [[] for _ in inputs]
        stepper = Stepper(self.network)
        for indices in token_buckets([len(one) for one in inputs], BATCH, TOKENS, seed=None):
            hypotheses = search(
                stepper,
                stepper.begin(self.reader.shown([inputs[index] for index in indices])),
                len(indices),
                self.network.boundary,
                max_length=self.most,
                beam_size=1 if greedy else self.options.beam_size,
                n_best=1 if greedy else self.options.n_best,
                length_penalty=self.options.length_penalty,
                forbidden=(UNKNOWN,),
            )
            for index, some in zip(indices, hypotheses, strict=True):
                found[index] = some
        return found

    def rows(self, inputs: Sequence[Array]) -> Iterator[Row]:
        """Write for each input; tell the text, the others that the beam found, and where the network looked.

        Raises ``UsageError`` where that is asked for and the network has no attention, or several.
        """
        for given, found in zip(inputs, self.write(inputs), strict=True):
            best = found[0]
            row: Row = {"prediction": self.reader.script.decode(best.units), "score": best.score}
            if self.options.n_best > 1:
                texts = [self.reader.script.decode(one.units) for one in found]
                row["n_best"] = [
                    {"prediction": text, "score": one.score} for text, one in zip(texts, found, strict=True)
                ]
            if self.options.alignment:
                row["alignment"] = self._alignment(given, best)
            yield row

    def score(self, examples: Examples) -> Scores:
        """Score what is written, and how likely the references are."""
        return self._written(examples.inputs, examples.references) | {"perplexity": _perplexity(self._nll(examples))}

    def validate(self, examples: Examples) -> Scores:
        """Judge the network, and look at what it writes."""
        some = slice(0, VALIDATION_TEXTS)
        written = self._written(examples.inputs[some], examples.references[some], greedy=True)
        nll = self._nll(examples)
        found = {"nll": nll, "perplexity": _perplexity(nll), **written}
        return {f"valid_{name}": score for name, score in found.items()}

    def _written(self, inputs: list[Array], references: list[list[str]], *, greedy: bool = False) -> Scores:
        texts = [self.reader.script.decode(best.units) for best, *_ in self.write(inputs, greedy=greedy)]
        return text_scores(texts, references)

    def _nll(self, examples: Examples) -> float:
        """Return the mean negative log-likelihood of the references' units, their ends among them, in nats."""
        self.network.eval()
        total, units = 0.0, 0
        with torch.no_grad():
            for batch in in_order(examples, BATCH, TOKENS):
                total += float(self.network.loss(batch, ())[0]) * batch.units
                units += batch.units
        return total / units

    def _alignment(self, given: Array, found: Hypothesis) -> dict[str, Any]:
        """Return what was written and shown, and the weights [T][S] with which it looked at the one for the other."""
        if found.alignment is None:
            transformer = self.options.model == "transformer"
            why = "has many in each layer" if transformer else "was trained with --attention none"
            raise UsageError(f"alignment: this {self.options.model} {why}, so there is none to show")
        return {"target": self.reader.script.visible_units(found.units)} | self.reader.looked(given, found.alignment)


def writer(model: object, reader: Reader, options: WritingOptions) -> Writer:
    """Put a network that was trained to its work."""
    assert isinstance(model, EncoderDecoder)
    return Writer(model, reader, options)


def check_writing(options: WritingOptions) -> None:
    """Refuse options that contradict each other. Raises ``UsageError``."""
    if options.n_best > options.beam_size:
        raise UsageError(
            f"n_best: got {options.n_best}, wanted at most the beam's size ({options.beam_size}, --beam-size)"
        )


def flat_texts(row: Row, given: str) -> Iterator[Row]:
    """Give a flat row for each text of ``row``, with what was ``given``; of the alignment, nothing."""
    shown = {name: row[name] for name in ("row", given)}
    for rank, found in enumerate(row.get("n_best", [row]), 1):
        texts = {name: found[name] for name in ("prediction", "score") if name in found}
        yield shown | ({"rank": rank} if "n_best" in row else {}) | texts


def text_scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """Score each text by the references that it has: BLEU (Papineni 2002), chrF (Popović 2015) and exact match.

    BLEU and chrF are of the whole corpus, 0 to 100, by sacreBLEU (Post 2018) with its defaults; a text matches exactly
    when it is one of its references. BLEU is 0 where no text has four words.
    """
    streams = _streams(references)
    bleu, chrf = _metrics()
    exact = [text in known for text, known in zip(texts, references, strict=True)]
    return {
        "bleu": float(bleu.corpus_score(list(texts), streams).score),
        "chrf": float(chrf.corpus_score(list(texts), streams).score),
        "exact_match": float(np.mean(exact)),
    }


def signatures(references: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """How BLEU and chrF were counted, in sacreBLEU's own words, a line each."""
    streams = _streams(references)
    lines = []
    for name, metric in zip(("bleu", "chrf"), _metrics(), strict=True):
        metric.corpus_score([one[0] for one in references], streams)  # a signature is of what was scored
        lines.append(f"{name}: {metric.get_signature()}")
    return tuple(lines)


def _metrics() -> tuple[Any, Any]:
    from sacrebleu.metrics.bleu import BLEU  # slow to import, needed only here
    from sacrebleu.metrics.chrf import CHRF

    return BLEU(force=True), CHRF()  # force: no warning of references that are tokenized already


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """One list per place among a text's references, as sacreBLEU wants them; None where a text has fewer."""
    most = max(map(len, references))
    return [[known[place] if place < len(known) else None for known in references] for place in range(most)]


def _perplexity(nll: float) -> float:
    return math.exp(min(nll, 700.0))
