"""Entities of one or several words, encoded as one tag per word: BIO (Ramshaw & Marcus 1995), IOBES and BILOU."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

TAG = re.compile(r"[BIESLU]-.+")
LAST = "ESLU"
"""Prefixes of the last or only word of an entity."""

Entity = tuple[int, int, int, str]
"""The indices of the sentence, the first word and the last word, and the type."""


def are_entities(tags: Iterable[str]) -> bool:
    """Return whether ``tags`` are entity tags: O, and prefixed types with at least one prefix B, I, S or U."""
    names = set(tags) - {"O"}
    return bool(names) and all(TAG.fullmatch(name) for name in names) and any(name[0] in "BISU" for name in names)


def entity_f1(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Return the F1 of entities over all sentences. An entity is correct if its first word, last word and type are."""
    from sklearn.metrics import f1_score  # slow to import, needed only here

    true_entities, predicted_entities = set(entities(truth)), set(entities(predicted))
    union = sorted(true_entities | predicted_entities)
    if not union:
        return 1.0
    is_true = [entity in true_entities for entity in union]
    is_predicted = [entity in predicted_entities for entity in union]
    return float(f1_score(is_true, is_predicted, zero_division=0.0))


def entities(sentences: Iterable[Sequence[str]]) -> Iterator[Entity]:
    """Yield the entities, as the CoNLL evaluation finds them (Tjong Kim Sang & De Meulder 2003).

    A word continues an entity if its tag is an I, E or L of the same type. A word with another prefix, or with no
    entity to continue, begins an entity.
    """
    for sentence, tags in enumerate(sentences):
        first: int | None = None
        for index, tag in enumerate(tags):
            if tag == "O":
                first = None
                continue
            if first is None or tag[0] in "BSU" or tag[2:] != tags[first][2:]:
                first = index
            next_tag = tags[index + 1] if index + 1 < len(tags) else "O"
            if tag[0] in LAST or next_tag[0] not in "IEL" or next_tag[2:] != tag[2:]:
                yield sentence, first, index, tag[2:]
                first = None
