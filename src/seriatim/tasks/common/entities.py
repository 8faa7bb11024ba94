"""Entities of several words, written as a tag per word: BIO (Ramshaw & Marcus 1995), IOBES and BILOU."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

TAG = re.compile(r"[BIESLU]-.+")
LAST = "ESLU"
"""Prefixes of the last word of an entity, or of its only one."""

Entity = tuple[int, int, int, str]
"""Sentence, first word, last word, kind."""


def are_entities(tags: Iterable[str]) -> bool:
    """Tell whether ``tags`` are such a scheme: O and prefixes, one of B, I, S or U among them."""
    names = set(tags) - {"O"}
    return bool(names) and all(TAG.fullmatch(name) for name in names) and any(name[0] in "BISU" for name in names)


def entity_f1(truth: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> float:
    """Return the F1 of entities over all sentences: one counts where both ends and the kind are right."""
    from sklearn.metrics import f1_score  # slow to import, needed only here

    true, chosen = set(entities(truth)), set(entities(found))
    either = sorted(true | chosen)
    if not either:
        return 1.0
    return float(f1_score([one in true for one in either], [one in chosen for one in either], zero_division=0.0))


def entities(sentences: Iterable[Sequence[str]]) -> Iterator[Entity]:
    """Find the entities as the CoNLL evaluation does (Tjong Kim Sang & De Meulder 2003).

    A word goes on with an entity if its tag is an I, E or L of the same kind; any other prefix, and one of these where
    there is nothing to go on with, begins an entity.
    """
    for number, tags in enumerate(sentences):
        first: int | None = None
        for place, tag in enumerate(tags):
            if tag == "O":
                first = None
                continue
            if first is None or tag[0] in "BSU" or tag[2:] != tags[first][2:]:
                first = place
            following = tags[place + 1] if place + 1 < len(tags) else "O"
            if tag[0] in LAST or following[0] not in "IEL" or following[2:] != tag[2:]:
                yield number, first, place, tag[2:]
                first = None
