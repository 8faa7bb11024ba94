"""Scores of written texts against their references: BLEU, chrF and exact match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seriatim.tasks.task import Scores


def text_scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """Score each text by its references: BLEU (Papineni 2002), chrF (Popović 2015) and exact match.

    BLEU and chrF are scores of the whole corpus, 0 to 100, computed by sacreBLEU (Post 2018) with its defaults. A text
    matches exactly if it equals one of its references. BLEU is 0 if no text has four words.
    """
    streams = _reference_streams(references)
    bleu, chrf = _metrics()
    exact = [text in text_references for text, text_references in zip(texts, references, strict=True)]
    return {
        "bleu": float(bleu.corpus_score(list(texts), streams).score),
        "chrf": float(chrf.corpus_score(list(texts), streams).score),
        "exact_match": float(np.mean(exact)),
    }


def signatures(references: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return sacreBLEU's signatures, one line each, which describe how BLEU and chrF are computed."""
    streams = _reference_streams(references)
    lines = []
    for name, metric in zip(("bleu", "chrf"), _metrics(), strict=True):
        # The signature contains the number of references, which sacreBLEU learns from a call.
        metric.corpus_score([text_references[0] for text_references in references], streams)
        lines.append(f"{name}: {metric.get_signature()}")
    return tuple(lines)


def _metrics() -> tuple[Any, Any]:
    from sacrebleu.metrics.bleu import BLEU  # slow to import, needed only here
    from sacrebleu.metrics.chrf import CHRF

    return BLEU(force=True), CHRF()  # force: no warning about references that are tokenized already


def _reference_streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Return the references as sacreBLEU expects them: the first of each text, the second of each text, and so on.

    A text with fewer references has None in their place.
    """
    count = max(map(len, references))
    return [
        [text_references[index] if index < len(text_references) else None for text_references in references]
        for index in range(count)
    ]
