"""What tasks that write texts share: decoding a network, and scores of texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from seriatim.decoding.beam import Hypothesis, search
from seriatim.models.seq2seq import EncoderDecoder


@final
class Stepper:
    """A network as the step function that ``decoding.beam`` runs: NumPy outside, tensors inside."""

    def __init__(self, network: EncoderDecoder) -> None:
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


def write(
    network: EncoderDecoder,
    sources: object,
    count: int,
    *,
    max_length: int,
    beam_size: int = 1,
    n_best: int = 1,
    length_penalty: float = 0.0,
    forbidden: Collection[int] = (),
) -> list[list[Hypothesis]]:
    """Write about a batch of ``count`` sources: the best hypotheses for each, as ``decoding.beam.search`` does."""
    stepper = Stepper(network)
    return search(
        stepper,
        stepper.begin(sources),
        count,
        network.boundary,
        max_length=max_length,
        beam_size=beam_size,
        n_best=n_best,
        length_penalty=length_penalty,
        forbidden=forbidden,
    )


def text_scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
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
